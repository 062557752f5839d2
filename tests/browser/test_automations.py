"""The server's automations: a run whose processes were all killed is found and started again, once, from where it
stopped.

No browser, but minutes: heartbeats are at least 30 s apart. The window is shortened with them; nothing else is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.servers.deploy import AUTOMATIONS
from tests.browser.servers import Servers, until

pytestmark = pytest.mark.timeout(1800)
HEARTBEAT, WINDOW = 30, 75  # seconds instead of 180 and 600
APPLY = "from pathlib import Path; from flows.servers import deploy; deploy.AUTOMATIONS = Path({!r}); deploy.print_applied()"


@pytest.fixture
def watched(servers: Servers, recipes: Path) -> Iterator[None]:
    """The automations of infra/ with a shorter window."""
    entries = yaml.safe_load(AUTOMATIONS.read_text())
    entries["automations"][0]["trigger"]["within"] = WINDOW
    file = servers.folder / "automations.yaml"
    file.write_text(yaml.safe_dump(entries))
    servers.run_code(APPLY.format(str(file)))
    yield
    servers.run("assay", "deploy")


def start(servers: Servers, recipe: Path) -> str:
    deployment = servers.api("GET", "deployments/name/retrain/retrain")["id"]
    asked = {"parameters": {"recipe_path": str(recipe), "epochs": 30}, "state": {"type": "SCHEDULED"}}
    return str(servers.api("POST", f"deployments/{deployment}/create_flow_run", asked)["id"])


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()


def names(servers: Servers, run: str) -> list[str]:
    """The states that the run was in, in order."""
    states = servers.api("GET", f"flow_run_states/?flow_run_id={run}")
    return [state["name"] for state in sorted(states, key=lambda state: state["timestamp"])]


def test_a_run_whose_worker_and_processes_were_killed_is_found_started_again_and_goes_on(
    servers: Servers, recipes: Path, watched: None
) -> None:
    worker = servers.start_worker("doomed", PREFECT_FLOWS_HEARTBEAT_FREQUENCY=str(HEARTBEAT))
    run = start(servers, recipes / "little.yaml")
    until(lambda: servers.at_work("tasks.training.trainer"), "the training")
    trainer = servers.at_work("tasks.training.trainer")[0].pid
    place = Path(servers.at_work("tasks.training.trainer")[0].cmdline()[-1]).parent
    until(lambda: list(place.glob("checkpoints/*/trainer_state.json")), "a checkpoint")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    kill(servers.at_work("prefect.engine"))
    until(lambda: not psutil.pid_exists(trainer), "the end of the trainer", 10)
    assert servers.state(run) == "Running"
    servers.start_worker("next", PREFECT_FLOWS_HEARTBEAT_FREQUENCY=str(HEARTBEAT))
    assert servers.wait_for(run, "Completed", "Failed", "Refused", "Undecided") == "Completed"
    turns = ("Crashed", "AwaitingRetry", "Completed")
    assert tuple(name for name in names(servers, run) if name in turns) == turns
    assert servers.api("GET", f"flow_runs/{run}")["run_count"] == 2
    assert resumed(servers) > 0


def resumed(servers: Servers) -> int:
    """The step from which the newest adapter's training went on."""
    told = max((servers.home / "artifacts" / "train").glob("*/told.json"), key=lambda file: file.stat().st_mtime)
    facts: dict[str, Any] = yaml.safe_load(told.read_text())
    return int(facts["actual"]["resumed_from_step"])
