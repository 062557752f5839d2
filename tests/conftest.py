"""What tests share: a home folder of their own each, and one Prefect server for those that run a flow."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from tasks.core.process.hardware import collect_rarely
from tasks.registry import mlflow_client
from tasks.training import train
from tests.support.forks import fork_versions_and_trainers, launched, preloaded_at
from tests.support.preloaded import Preloaded

settings.register_profile("shared", deadline=None)  # machines are shared: no example fails for the time it takes
settings.load_profile("shared")
collect_rarely()  # most objects of a test process are of the libraries that it loads once


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ASSAY_HOME, new and empty for each test; Prefect keeps its results in it, so no cache hit leaks between tests."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("ASSAY_HOME", str(place))
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(place / "results"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlflow.db'}")
    return place


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[Preloaded]:
    """Versions are loaded and models trained in forks of one process, for the whole session."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        preloaded = preloaded_at(Path(folder) / "s")  # short, as a socket's path must be
        fork_versions_and_trainers(preloaded, patch.setattr)
        yield preloaded
        preloaded.end()


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are trained as for users, by the launcher."""
    monkeypatch.setattr(train, "_command", launched)


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> Path:
    """Where the empty databases lie that tests copy: all processes and later sessions find those that one has made."""
    assert pytestconfig.cache
    return pytestconfig.cache.mkdir("databases")


@pytest.fixture(scope="session")
def prefect_server(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server on a throwaway database, once a process, and its address; two busy cores need 10 to 30 s to
    start it.

    To make the database costs as much as the rest of a start, so the first server leaves a copy that others start from.
    """
    from prefect.settings import PREFECT_API_URL
    from prefect.testing import utilities

    folder, made = tmp_path_factory.mktemp("prefect"), databases / f"prefect-{version('prefect')}.db"
    database = folder / "prefect-test.db"  # as the harness names it in the folder that it makes
    with ExitStack() as running:
        with FileLock(f"{made}.lock"), pytest.MonkeyPatch.context() as patch:
            if made.exists():
                shutil.copyfile(made, database)
            patch.setattr(utilities, "mkdtemp", lambda: str(folder))
            running.enter_context(utilities.prefect_test_harness(server_startup_timeout=180))
            if not made.exists():
                copy_database(database, made)
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def prefect_database(databases: Path, request: pytest.FixtureRequest) -> Path:
    """The database of a Prefect server that has run nothing: on a copy of it, another server starts in half the
    time.
    """
    made = databases / f"prefect-{version('prefect')}.db"
    if not made.exists():
        request.getfixturevalue("prefect_server")
    return made


@pytest.fixture(scope="session")
def mlflow_database(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an MLflow registry that holds nothing. To make one takes two seconds of a core, to copy it
    nothing.
    """
    made = databases / f"mlflow-{version('mlflow')}.db"
    with FileLock(f"{made}.lock"), pytest.MonkeyPatch.context() as patch:
        if not made.exists():
            database = tmp_path_factory.mktemp("mlflow") / made.name
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
            mlflow_client.client().search_registered_models()
            copy_database(database, made)
    return made


def copy_database(database: Path, to: Path) -> None:
    """A SQLite database as it is, while others may have it open; half a copy is never found under its name."""
    half = to.with_suffix(".half")
    half.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(half)) as target:
        source.backup(target)
    half.replace(to)


@pytest.fixture(scope="module")
def registry(mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `home` has an empty MLflow registry, for one test module."""
    place = tmp_path_factory.mktemp("registry")
    (place / "home").mkdir()
    shutil.copyfile(mlflow_database, place / "home" / "mlflow.db")
    return place


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For modules that compute with tiny models: threads that wait for each other cost more than
    such a model computes.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def prefect(prefect_server: str, home: Path) -> Iterator[None]:
    """Ask for this in a test that runs a flow or a step: the shared server, and results in this test's home.

    Prefect reads its settings once a process, so the environment variable alone would come too late. Without
    heartbeats, whose thread holds the end of each run for up to a second.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    settings: dict[Any, Any] = {PREFECT_LOCAL_STORAGE_PATH: home / "results", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(settings):
        yield
