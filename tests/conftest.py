"""What tests share: a home folder of their own each, and one Prefect server for those that run a flow."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from tasks.core.process.hardware import collect_rarely
from tasks.registry import loaded_version, loaded_version_main
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
def preloaded() -> Iterator[None]:
    """Versions are loaded in forks of one process, for the whole session: tests/support/preloaded.py."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
    ):  # short, as a socket's path must be
        forks = Preloaded(Path(folder), loaded_version_main.__file__)
        patch.setattr(loaded_version, "start", forks.start)
        yield
        forks.end()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this session have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def prefect_server(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server on a throwaway database, once a process, and its address; two busy cores need 10 to 30 s to
    start it.

    The first of the session's processes makes the database, which costs twice what the rest of a start does, and leaves
    a copy that the others start from.
    """
    from prefect.settings import PREFECT_API_URL
    from prefect.testing import utilities

    folder, made = tmp_path_factory.mktemp("prefect"), shared / "prefect.db"
    database = folder / "prefect-test.db"  # as the harness names it in the folder that it makes
    with ExitStack() as running:
        with FileLock(f"{made}.lock"), pytest.MonkeyPatch.context() as patch:
            if made.exists():
                shutil.copyfile(made, database)
            patch.setattr(utilities, "mkdtemp", lambda: str(folder))
            running.enter_context(utilities.prefect_test_harness(server_startup_timeout=60))
            if not made.exists():
                copy_database(database, made)
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def prefect_database(shared: Path, prefect_server: str) -> Path:
    """The database of a Prefect server that has run nothing: copied, a server of a test's own starts in a third of the
    time.
    """
    return shared / "prefect.db"


@pytest.fixture(scope="session")
def mlflow_database(shared: Path) -> Path:
    """The database of an MLflow registry that holds nothing. To make one takes two seconds of a core, to copy it
    nothing.
    """
    made = shared / "mlflow.db"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            from mlflow import MlflowClient

            MlflowClient(f"sqlite:///{made}.new").search_registered_models()
            copy_database(Path(f"{made}.new"), made)
    return made


def copy_database(database: Path, to: Path) -> None:
    """A SQLite database as it is, while others may have it open."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


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
