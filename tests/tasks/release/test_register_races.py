"""Two machines register the same unit at the same moment: one version, one run, one logged model, and both go on with
it.

Real MLflow on SQLite. What meets is the two clients: each has looked and found nothing when both go on to make. The
same on PostgreSQL, with processes that meet by chance, is in tests/chaos.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import OutsideError
from tasks.core.work import StepResult
from tasks.model.base_model import BaseModelSettings
from tasks.registry import mlflow_client
from tasks.registry.packaging import describe
from tasks.registry.register_once import REGISTERED
from tasks.registry.versions import CHALLENGER, STATE
from tests.support.registration import PROMPT, Inputs, make_inputs

TRIES = 5  # SQLite lets one write at a time, and what waits too long is tried again, as the step wrapper does


class Meeting:
    """A real client that waits before its first call of `at` until the other one is there too."""

    def __init__(self, client: Any, at: str, barrier: threading.Barrier) -> None:
        self.client, self.at, self.barrier = client, at, barrier

    def __getattr__(self, name: str) -> Any:
        if name == self.at:
            with suppress(threading.BrokenBarrierError):  # the other one never comes by
                self.barrier.wait(10)
            self.at = ""
        return getattr(self.client, name)


@pytest.fixture(scope="module")
def place(registry: Path, one_thread: None) -> Path:
    return registry


@pytest.fixture(scope="module")
def inputs_of_all(place: Path) -> Inputs:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(place / "home"))
        return make_inputs(place)


@pytest.fixture
def made(place: Path, inputs_of_all: Inputs, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.setenv("ASSAY_HOME", str(place / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'home' / 'mlflow.db'}")
    return inputs_of_all


def stored(name: str) -> tuple[list[Any], list[Any], list[Any]]:
    client = mlflow_client.client()
    ids = [client.get_experiment_by_name(name).experiment_id]
    return (
        list(client.search_model_versions(f"name = '{name}'")),
        client.search_runs(ids),
        client.search_logged_models(ids),
    )


@pytest.mark.parametrize("at", ["create_experiment", "create_run", "create_logged_model", "create_model_version"])
def test_two_that_register_at_once_end_with_one_version(made: Inputs, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    inputs, barrier, real = replace(made, name=f"meet-at-{at}"), threading.Barrier(2), mlflow_client.client
    mine = threading.local()

    def client() -> Any:
        if not hasattr(mine, "client"):
            mine.client = Meeting(real(), at, barrier)
        return mine.client

    def register(scratch: str) -> StepResult:
        for _ in range(TRIES - 1):
            with suppress(OutsideError):
                return inputs.register(2, scratch)
        return inputs.register(2, scratch)

    real()  # the tables are there
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as both:
        patch.setattr(mlflow_client, "client", client)
        results = list(both.map(register, [f"{at}-one", f"{at}-two"]))
    (version,), (run,), (model,) = stored(inputs.name)
    assert {result.facts["version"] for result in results} == {1} == {int(version.version)}
    assert {result.told["run_id"] for result in results} == {run.info.run_id} == {version.run_id}
    assert {result.told["model_id"] for result in results} == {model.model_id} == {mlflow_client.model_id(version)}
    assert (run.info.status, model.status) == ("FINISHED", "READY")
    assert mlflow_client.client().get_model_version_by_alias(inputs.name, CHALLENGER).tags[STATE] == CHALLENGER


def leave_half(inputs: Inputs, kept: bool = False) -> Any:
    """What a machine left that lost the race and was killed before it could take its own away."""
    client = mlflow_client.client()
    unit = describe(PROMPT, BaseModelSettings(source="base"), inputs.base, inputs.adapter, inputs.dataset)
    tags = {mlflow_client.DIGEST: unit.digest}
    run = client.create_run(mlflow_client.experiment(client, inputs.name), tags=tags)
    model = client.create_logged_model(
        run.info.experiment_id, name=inputs.name, source_run_id=run.info.run_id, tags=tags
    )
    uri, state = f"models:/{model.model_id}", {STATE: "replaced" if kept else REGISTERED}
    return client.create_model_version(
        inputs.name, uri, run.info.run_id, tags={**tags, **state}, model_id=model.model_id
    )


def test_what_a_killed_loser_left_goes_with_the_next_registration(made: Inputs) -> None:
    inputs = replace(made, name="killed-loser")
    first = inputs.register(2)
    leave_half(inputs)
    assert inputs.register(2).facts == first.facts
    assert [len(found) for found in stored(inputs.name)] == [1, 1, 1]


def test_a_second_version_that_something_pointed_at_is_kept(made: Inputs) -> None:
    inputs = replace(made, name="two-that-lived")
    inputs.register(2)
    aliased = leave_half(inputs)
    mlflow_client.client().set_registered_model_alias(inputs.name, "champion", aliased.version)
    leave_half(inputs, kept=True)
    assert inputs.register(2).facts["version"] == 1
    assert [len(found) for found in stored(inputs.name)] == [3, 3, 3]
    assert int(mlflow_client.client().get_model_version_by_alias(inputs.name, "champion").version) == 2


def test_a_run_that_a_person_deleted_comes_back_with_the_next_registration(made: Inputs) -> None:
    inputs = replace(made, name="deleted-run")
    first = inputs.register(2)
    mlflow_client.client().delete_run(first.told["run_id"])
    assert inputs.register(2).told["run_id"] == first.told["run_id"]
    assert [len(found) for found in stored(inputs.name)] == [1, 1, 1]
