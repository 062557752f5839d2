"""The stack's worker: puts away what its last life left, in the server and on disk, and becomes Prefect's own worker.

    python -m infra.worker --type process --pool assay ...     the options are those of `prefect worker start`

A worker that ends, by a signal or with its machine, takes its runs along, and nobody tells the server: they stay
Running until an automation misses their heartbeats, ten minutes later. So a worker begins by telling it. It knows its
runs by its own name, the machine's (in a container: the container's), which Prefect writes on each run as a label.
Prefect gives each run folders for passing files too, and takes them away when the run ends, not when it is killed: so
they lie below PREFECT_HOME, which a worker has to itself, in a folder that each life empties.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil

from infra.health import answers

LABEL = "prefect.worker.name"
RUN = "PREFECT__FLOW_RUN_ID"  # a variable of every process of a run
MESSAGE = "Its worker ended, and the run with it. Retry goes on where it stopped."


def main(options: list[str]) -> None:
    """Tell of lost runs, then replace this process by Prefect's worker; does not return."""
    os.environ["TMPDIR"] = str(emptied(Path(os.environ["PREFECT_HOME"]) / "tmp"))
    name, server = socket.gethostname(), f"{os.environ['PREFECT_API_URL']}/health"
    while not answers(server):  # after a power cut everything starts at once
        print(f"Waiting for {server}", flush=True)
        time.sleep(2)
    try:
        for run in tell_lost_runs(name):
            print(f"The run {run.name} ended with this worker's last life; the server knows now.", flush=True)
    except httpx.HTTPError as error:  # the automation will tell it
        print(f"The server was not told which runs ended with this worker's last life: {error}", flush=True)
    os.execvp("prefect", ["prefect", "worker", "start", "--name", name, *options])


def emptied(folder: Path) -> Path:
    """The folder, with nothing in it but what cannot be taken away: no reason for a worker not to start."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def tell_lost_runs(worker: str) -> list[Any]:
    """Mark as crashed each run that this worker had under way and no process of this machine works on; as cancelled
    where somebody wanted that. Returns the runs.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelled, Crashed

    under_way = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=under_way)))
        living = worked_on()
        lost = [run for run in found if run.labels.get(LABEL) == worker and run.id not in living]
        for run in lost:
            told = Cancelled if run.state_type == StateType.CANCELLING else Crashed
            client.set_flow_run_state(run.id, told(message=MESSAGE), force=True)
    return lost


def worked_on() -> set[UUID]:
    """The runs that a process of this machine works on."""
    return {UUID(found) for process in psutil.process_iter() if (found := _environment(process).get(RUN))}


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:  # it ended, or is another user's
        return {}


if __name__ == "__main__":
    main(sys.argv[1:])
