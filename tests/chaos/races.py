"""Two at once: workers, runs, machines, and a schedule that fires while a run is on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from infra.settings import CODE
from tests.chaos.judge import Outcome, differences, outcome_of, registered_of
from tests.chaos.play import Played, ended, left_running, until
from tests.chaos.racer import prepare
from tests.chaos.stage import Scene, Stage

SECONDS = 900
RACERS, ROUNDS = 4, 5


def two_workers_one_run(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """A second worker polls the same queue: one of them takes the run, the other leaves it alone."""
    played, worker = Played("two workers, one run"), stage.worker("second")
    try:
        until(lambda: len(_workers(stage)) > 1, 120)
        _finish(stage, played, stage.submit(scene))
        played.figures["workers polling"] = str(len(_workers(stage)))
    finally:
        worker.terminate()
        worker.wait(60)
    played.wrong += [*differences(outcome_of(scene), wanted), *left_running(stage)]
    return played


def two_runs_one_home(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """One by the deployment, one by the command line, of the same model in the same home, at the same moment."""
    played, other = Played("two runs of one model, one home"), _command_line(stage, scene)
    _finish(stage, played, stage.submit(scene))
    played.wrong += [] if other.wait(SECONDS) == 0 else [f"the command ended with {other.returncode}"]
    played.wrong += [*differences(outcome_of(scene), wanted), *left_running(stage)]
    return played


def two_runs_two_homes(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """The same on two machines that share the registry and no home, so no lock is between them; one has more cores."""
    played, home = Played("two runs of one model, two homes"), stage.homes / f"second-{scene.model}"
    other = _command_line(stage, scene, f"ASSAY_HOME={home}", f"PREFECT_LOCAL_STORAGE_PATH={home}/results")
    _finish(stage, played, stage.submit(scene))
    played.wrong += [] if other.wait(SECONDS) == 0 else [f"the command ended with {other.returncode}"]
    for where, one in (("", scene), ("second home: ", replace(scene, home=home))):
        played.wrong += [where + what for what in differences(outcome_of(one), wanted)]
    played.wrong += left_running(stage)
    return played


def registers_at_once(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """RACERS processes with a home each register the same unit at the same moment, ROUNDS times, against one MLflow."""
    played, place = Played("registrations of one unit at once"), stage.homes / f"race-{scene.model}"
    place.mkdir()
    names, begun = [f"{scene.model}-round-{number}" for number in range(ROUNDS)], time.monotonic()
    command = [sys.executable, "-m", "tests.chaos.racer", str(place), *names]
    racers = [
        subprocess.Popen(
            command, env={**os.environ, "ASSAY_HOME": str(home)}, cwd=CODE, stdout=subprocess.PIPE, text=True
        )
        for home in prepare(place, RACERS)
    ]
    for name in names:
        until(partial(_all_ready, place, name), SECONDS)
        (place / f"go-{name}").touch()
    told = [line for racer in racers for line in racer.communicate(timeout=SECONDS)[0].splitlines()]
    played.seconds = round(time.monotonic() - begun, 1)
    ends = [json.loads(line) for line in told if line.startswith("{")]
    played.figures |= {"processes": str(RACERS), "rounds": str(ROUNDS), "registrations": str(len(ends))}
    played.wrong += [f"a process ended with {racer.returncode}: {told[-1:]}" for racer in racers if racer.returncode]
    for name in names:
        found = registered_of(name)
        played.wrong += (
            [f"{name}: in the registry: {found} for {wanted.registered}"] if found != wanted.registered else []
        )
        told_of = {(end["version"], end["run"]) for end in ends if end["name"] == name}
        played.wrong += [f"{name}: the processes told of {sorted(told_of)}"] if len(told_of) != 1 else []
    return played


def schedule_while_a_run_is_on(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """A schedule of every 20 s on retrain (ENQUEUE): the next ones wait, then find all done, and register nothing."""
    played = Played("schedule fires while a run is on")
    deployment = stage.api("GET", "deployments/name/retrain/retrain")["id"]
    often = {
        "schedule": {"interval": 20},
        "active": True,
        "parameters": {"recipe_path": str(scene.recipe)},
        "slug": "often",
    }
    before = {run["id"] for run in _runs(stage, deployment)}
    made = stage.api("POST", f"deployments/{deployment}/schedules", [often])[0]["id"]
    until(lambda: sum(_done(run) for run in _runs(stage, deployment) if run["id"] not in before) >= 3, SECONDS)
    stage.api("DELETE", f"deployments/{deployment}/schedules/{made}")
    until(lambda: not any(run["state_type"] in ("RUNNING", "PENDING") for run in _runs(stage, deployment)), SECONDS)
    new = [run for run in _runs(stage, deployment) if run["id"] not in before]
    for run in new:
        if not ended({"type": run["state_type"]}):
            stage.api("DELETE", f"flow_runs/{run['id']}")
    done = sorted((run for run in new if run["end_time"] and run["start_time"]), key=lambda run: str(run["start_time"]))
    over = [two["name"] for one, two in pairwise(done) if two["start_time"] < one["end_time"]]
    played.figures |= {"runs that ended": str(len(done)), "that overlapped": str(len(over))}
    played.wrong += [f"{name} began before the one ahead had ended" for name in over]
    played.wrong += [f"{run['name']} ended as {run['state_name']}" for run in done if run["state_type"] != "COMPLETED"]
    played.wrong += differences(outcome_of(scene), wanted)
    return played


def second_watch_is_dropped(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """watch (CANCEL_NEW) asked for twice at once: one looks, the other is cancelled, and says why."""
    played = Played("two watches at once")
    runs = [stage.submit(scene, "watch/watch") for _ in range(2)]
    until(lambda: all(ended(stage.state(run)) for run in runs), SECONDS)
    states = [stage.state(run) for run in runs]
    played.figures["states"] = ", ".join(sorted(str(state.get("name")) for state in states))
    if sorted(str(state.get("type")) for state in states)[0] != "CANCELLED" or states[0].get("type") == states[1].get(
        "type"
    ):
        played.wrong.append(f"one was to be cancelled and one to end: {played.figures['states']}")
    return played


def _all_ready(place: Path, name: str) -> bool:
    return len(list(place.glob(f"ready-{name}-*"))) == RACERS


def _finish(stage: Stage, played: Played, run: str) -> None:
    begun = time.monotonic()
    until(lambda: ended(stage.state(run)), SECONDS)
    played.seconds = round(time.monotonic() - begun, 1)
    state = stage.state(run)
    if state.get("type") != "COMPLETED":
        played.wrong.append(f"the run is {state.get('name')}: {state.get('message')}"[:300])


def _command_line(stage: Stage, scene: Scene, *variables: str) -> subprocess.Popen[bytes]:
    words = [
        "-m",
        "infra.stack",
        "run",
        "env",
        *variables,
        sys.executable,
        "-m",
        "assay",
        "run",
        str(scene.recipe),
    ]
    with (stage.folder / "logs" / f"{scene.model}.log").open("wb") as log:
        return subprocess.Popen([sys.executable, *words], env=stage.environment, cwd=CODE, stdout=log, stderr=log)


def _workers(stage: Stage) -> list[Any]:
    found: list[Any] = stage.api("POST", "work_pools/assay/workers/filter", {})
    return [worker for worker in found if worker["status"] == "ONLINE"]


def _runs(stage: Stage, deployment: str) -> list[Any]:
    wanted = {"deployments": {"id": {"any_": [deployment]}}, "limit": 200, "sort": "EXPECTED_START_TIME_DESC"}
    found: list[Any] = stage.api("POST", "flow_runs/filter", wanted)
    return found


def _done(run: dict[str, Any]) -> bool:
    return ended({"type": run["state_type"]})
