"""A schedule that fires by itself on the whole stack: nothing is new, and it says so; rows have come, and it makes a
version.

Prefect's own scheduler, its worker, MLflow on PostgreSQL; a tiny model. Nothing is started by hand after the schedule
is made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.stack.stacks import Stack
from tests.support.little_recipe import HELD_OUT, ask, conversation, little_recipe, write_lines

pytestmark = pytest.mark.timeout(3600)
NAME = "desk"
PATIENCE = 900  # seconds
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# What infra/README.md tells people to do by hand: a copy of two deployments for a recipe of one's own, `watch` every
# minute.
DEPLOY = """
import sys
from flows.servers.deploy import DEPLOYMENTS, _deployment, _read
for entry in _read(DEPLOYMENTS)["deployments"]:
    if entry["name"] in ("watch", "retrain"):
        often = [{"slug": "often", "cron": "* * * * *", "timezone": "Etc/UTC"}] if entry["name"] == "watch" else []
        own = {"name": entry["name"] + "-desk", "parameters": {"recipe_path": sys.argv[1]}, "schedules": often, "triggers": []}
        _deployment({**entry, **own}).apply()
"""
VERSIONS = """
import json
from mlflow import MlflowClient
client = MlflowClient()
found = {v.version: client.get_model_version("desk", v.version) for v in client.search_model_versions("name = 'desk'")}
print(json.dumps({number: [list(version.aliases), version.tags["assay.verdict"]] for number, version in found.items()}))
"""


@pytest.fixture(scope="module")
def recipe(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its version 1 is registered, by hand."""
    file = little_recipe(tmp_path_factory.mktemp("recipe") / "desk", NAME)
    done = stack.make("run", "assay", "run", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    return file


@pytest.fixture(scope="module")
def scheduled(stack: Stack, recipe: Path) -> Iterator[None]:
    assert stack.make("run", "assay", "deploy").returncode == 0
    made = stack.make("run", "python", "-c", DEPLOY, str(recipe))
    assert made.returncode == 0, made.stdout + made.stderr
    yield
    for name in ("watch", "retrain"):
        found = stack.prefect("GET", f"deployments/name/{name}/{name}-{NAME}")
        stack.prefect("DELETE", f"deployments/{found['id']}")


def runs(stack: Stack, flow: str, state: str) -> list[dict[str, Any]]:
    """The runs of a flow that are in a state of this name, newest first."""
    asked = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"name": {"any_": [state]}}}}
    return list(stack.prefect("POST", "flow_runs/filter", {**asked, "sort": "START_TIME_DESC"}))


def until(true: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(2)
    return found


def versions(stack: Stack) -> dict[str, list[Any]]:
    """Of each version its aliases, and the gate's verdict."""
    told = stack.make("run", "python", "-c", VERSIONS)
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


def test_a_scheduled_watch_fires_by_itself_and_skips_because_nothing_is_new(stack: Stack, scheduled: None) -> None:
    (run, *_) = until(lambda: runs(stack, "watch", "Unchanged"), "a run of the schedule")
    assert run["auto_scheduled"]
    assert run["created_by"]["type"] == "SCHEDULE"
    assert "2 of 2 sources are as challenger desk version 1 learnt from them" in run["state"]["message"]
    assert len(runs(stack, "retrain", "Completed")) == 1  # the one by hand
    assert versions(stack) == {"1": [["challenger"], "passed"]}


def test_after_rows_have_come_it_fires_starts_a_training_for_a_reason_and_a_version_is_registered(
    stack: Stack, recipe: Path, scheduled: None
) -> None:
    asked = product(("order", "refund"), HELD_OUT)
    rows = [conversation(ask(label, f"old {thing}", "in spring"), label) for label, thing in asked]
    write_lines(recipe.parent / "raw" / "later.jsonl", rows)
    (look, *_) = until(lambda: runs(stack, "watch", "Started"), "a run of watch that starts retrain")
    assert look["auto_scheduled"]
    (run, *_) = until(lambda: runs(stack, "retrain", "Completed")[:-1], "the end of that run")  # the oldest was by hand
    assert run["name"] == f"{NAME}: more rows"
    assert {"watch", f"model:{NAME}", "reason:more rows"} < set(run["tags"])
    asked_for = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["why"]}}}
    (why,) = stack.prefect("POST", "artifacts/filter", asked_for)
    assert "12 rows more than the 51 it learnt from" in why["data"]
    assert versions(stack) == {"1": [[], "passed"], "2": [["challenger"], "passed"]}


def test_the_next_one_finds_nothing_new_again(stack: Stack, scheduled: None) -> None:
    def told() -> bool:
        newest = runs(stack, "watch", "Unchanged")
        return bool(newest) and "3 of 3 sources are as challenger desk version 2" in newest[0]["state"]["message"]

    until(told, "a run that finds nothing new")


def test_two_trainings_of_two_models_asked_for_at_once_run_one_after_the_other(
    stack: Stack, recipe: Path, scheduled: None
) -> None:
    other = little_recipe(recipe.parent, "other")
    asked = [submit(stack, f"retrain-{NAME}", recipe, seed=3), submit(stack, "retrain", other, seed=3)]
    until(lambda: all(run_of(stack, run)["state_type"] in ENDED for run in asked), "the end of both")
    first, second = sorted((run_of(stack, run) for run in asked), key=lambda run: str(run["start_time"]))
    assert (first["state_name"], second["state_name"]) == ("Completed", "Completed")
    assert datetime.fromisoformat(first["end_time"]) <= datetime.fromisoformat(second["start_time"])


def submit(stack: Stack, deployment: str, recipe: Path, seed: int) -> str:
    """Ask for a run of a deployment of retrain, as its form does; its id."""
    found = stack.prefect("GET", f"deployments/name/retrain/{deployment}")["id"]
    body = {"parameters": {"recipe_path": str(recipe), "seed": seed}, "state": {"type": "SCHEDULED"}}
    return str(stack.prefect("POST", f"deployments/{found}/create_flow_run", body)["id"])


def run_of(stack: Stack, run: str) -> dict[str, Any]:
    return dict(stack.prefect("GET", f"flow_runs/{run}"))
