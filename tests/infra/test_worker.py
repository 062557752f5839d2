"""infra/worker.py against a real Prefect server: which runs are told as lost, and as what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Completed, Pending, Running, Scheduled

from infra.worker import LABEL, MESSAGE, RUN, emptied, tell_lost_runs


@flow
def work() -> None:
    """Never called: only its runs' states are looked at."""


def run_of(worker: str, state: State[Any]) -> Any:
    """A run with the label that a worker of this name gives it."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(work, state=Pending())
        client.update_flow_run_labels(run.id, {LABEL: worker})
        client.set_flow_run_state(run.id, state, force=True)
    return run.id


def state_of(run: Any) -> State[Any]:
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(run).state
    assert found is not None
    return found


@pytest.mark.usefixtures("prefect")
def test_a_run_that_ended_with_its_worker_is_told_as_crashed_and_says_what_to_do() -> None:
    worker = f"machine-{uuid4()}"
    running, pending = run_of(worker, Running()), run_of(worker, Pending())
    assert {run.id for run in tell_lost_runs(worker)} == {running, pending}
    for run in (running, pending):
        assert (state_of(run).name, state_of(run).message) == ("Crashed", MESSAGE)
    assert tell_lost_runs(worker) == []


@pytest.mark.usefixtures("prefect")
def test_one_that_somebody_was_cancelling_is_told_as_cancelled() -> None:
    worker = f"machine-{uuid4()}"
    run = run_of(worker, Cancelling())
    tell_lost_runs(worker)
    assert state_of(run).name == "Cancelled"


@pytest.mark.usefixtures("prefect")
def test_runs_of_other_workers_and_runs_at_rest_stay_as_they_are() -> None:
    worker = f"machine-{uuid4()}"
    others = run_of(f"machine-{uuid4()}", Running())
    ended, waiting = run_of(worker, Completed()), run_of(worker, Scheduled())
    assert tell_lost_runs(worker) == []
    assert [state_of(run).name for run in (others, ended, waiting)] == ["Running", "Completed", "Scheduled"]


@pytest.mark.usefixtures("prefect")
def test_a_run_that_a_process_of_this_machine_works_on_is_not_lost() -> None:
    worker = f"machine-{uuid4()}"
    run = run_of(worker, Running())
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, RUN: str(run)}
    )
    try:
        assert tell_lost_runs(worker) == []
    finally:
        process.communicate()
    assert [one.id for one in tell_lost_runs(worker)] == [run]


def test_each_life_of_a_worker_begins_with_an_empty_folder_for_passing_files(tmp_path: Path) -> None:
    folder = emptied(tmp_path / "home" / "tmp")
    (folder / "prefect-workspace-attempt-1").mkdir()
    (folder / "prefect-workspace-attempt-1" / "supervisor.json").write_text("{}")
    assert list(emptied(folder).iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_is_a_link_to_a_larger_disk_keeps_no_worker_from_starting(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "tmp").symlink_to(tmp_path / "large")
    assert emptied(tmp_path / "tmp").is_dir()
