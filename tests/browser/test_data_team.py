"""A data team in the Prefect UI: press Run, watch, read the outcome, retry what failed, cancel what runs.

Real servers, a tiny model. The tests are one story in order, and leave the pictures of infra/README.md.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.browser.pages import Prefect
from tests.browser.servers import Servers, until

pytestmark = pytest.mark.timeout(1800)
Picture = Callable[..., None]
ENDS = ("Completed", "Refused", "Undecided", "Blocked", "Failed", "Crashed", "Cancelled")


@pytest.fixture(scope="module")
def worker(servers: Servers, recipes: Path) -> Any:
    return servers.start_worker()


@pytest.fixture
def prefect(page: Any, servers: Servers, worker: Any) -> Prefect:
    prefect = Prefect(page, servers)
    prefect.sign_in()
    prefect.is_in()
    return prefect


def training(servers: Servers) -> list[psutil.Process]:
    return servers.at_work("tasks.training.trainer")


def checkpoints(servers: Servers) -> list[Path]:
    return list((servers.home / "scratch" / "train").glob("*/checkpoints/*/trainer_state.json"))


def test_nobody_comes_in_without_the_password(page: Any, servers: Servers) -> None:
    prefect = Prefect(page, servers)
    prefect.sign_in("assay:wrong")
    prefect.shows("Invalid credentials")
    prefect.sign_in()
    prefect.is_in()


def test_the_form_refuses_a_bad_value_in_plain_words(prefect: Prefect, recipes: Path, picture: Picture) -> None:
    prefect.page.goto(f"{prefect.servers.prefect_url}/v2/deployments")
    prefect.shows("rollback", "reconcile", "watch", "score", "promote", "curate", "retrain")
    picture("prefect-deployments")
    prefect.page.set_viewport_size({"width": 1360, "height": 1180})
    prefect.open_form("retrain")
    prefect.fill(Or_a_recipe=str(recipes / "little.yaml"), Epochs="500")
    prefect.page.get_by_role("button", name="Submit").click()
    told = prefect.page.get_by_label("Epochs").evaluate("field => field.validationMessage")
    assert told == "Value must be less than or equal to 100."
    prefect.fill(Epochs="4")
    picture("prefect-form")


def test_a_run_shows_its_progress_its_outcome_and_links_that_open(
    prefect: Prefect, recipes: Path, servers: Servers, picture: Picture
) -> None:
    page = prefect.page
    run = prefect.start("retrain", Or_a_recipe=str(recipes / "little.yaml"), Epochs="4")
    seen: set[float] = set()
    until(lambda: moved(servers, run, seen) or servers.state(run) in ENDS, "progress that moves")
    assert len(seen) > 1
    assert servers.wait_for(run, *ENDS) == "Completed"
    prefect.open_run(run)
    prefect.shows("outcome", "account", "check", "evaluate", "gate")
    picture("prefect-run")
    prefect.open_artifact(run, "outcome")
    prefect.shows("Passed", "Rows", "quarantined", "Contract")
    picture("prefect-outcome")
    page.get_by_role("link", name=re.compile(r"little version \d+, in MLflow")).click()
    page.wait_for_url(f"{servers.mlflow_url}/**")
    prefect.shows("assay.verdict")
    picture("mlflow-version")
    prefect.open_artifact(run, "report")
    page.get_by_role("link", name="The report, in MLflow").click()
    page.frame_locator("iframe").get_by_text("Assay report").first.wait_for()
    picture("mlflow-report")


def moved(servers: Servers, run: str, seen: set[float]) -> bool:
    """Look at the training's progress once more; whether it was seen at two places."""
    asked = {"artifacts": {"flow_run_id": {"any_": [run]}, "key": {"any_": ["train"]}}}
    seen |= {float(found["data"]) for found in servers.api("POST", "artifacts/filter", asked)}
    return len(seen) > 1


def test_a_second_run_says_of_each_step_that_it_was_cached(
    prefect: Prefect, recipes: Path, servers: Servers, picture: Picture
) -> None:
    run = prefect.start("retrain", Or_a_recipe=str(recipes / "little.yaml"), Epochs="4")
    assert servers.wait_for(run, *ENDS) == "Completed"
    tasks = servers.api("POST", "task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    assert {task["state"]["name"] for task in tasks} == {"Cached"}
    prefect.open_run(run, "Task Runs")
    prefect.shows("Cached")
    picture("prefect-cached")


@pytest.mark.parametrize(
    ("name", "state", "todo"),
    [
        ("refused", "Refused", "refused: exact on edge_cases"),
        ("blocked", "Blocked", "mend the rows that failing_rows.csv there names"),
        ("mistaken", "Failed", "did you mean 'epochs'?"),
    ],
)
def test_each_end_has_a_state_of_its_own_and_says_what_to_do(
    prefect: Prefect, recipes: Path, servers: Servers, picture: Picture, name: str, state: str, todo: str
) -> None:
    run = prefect.start("retrain", Or_a_recipe=str(recipes / f"{name}.yaml"))
    assert servers.wait_for(run, *ENDS) == state
    prefect.open_artifact(run, "outcome")
    prefect.shows(state, todo)
    if state != "Refused":  # what stopped it stands at the end of its log too
        until(lambda: told(servers, run)[-1:] and todo in told(servers, run)[-1], "the last line of the log", 60)
        assert not [line for line in told(servers, run) if "Traceback" in line]
        prefect.open_run(run, "Logs")
        prefect.page.get_by_role("combobox").filter(has_text="Oldest to newest").click()
        prefect.page.get_by_role("option", name="Newest to oldest").click()
        prefect.shows(todo)
    picture(f"prefect-{state.lower()}")


def told(servers: Servers, run: str) -> list[str]:
    """The run's log, line by line."""
    asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
    return [line["message"] for line in servers.api("POST", "logs/filter", asked)]


def test_retry_goes_on_where_it_failed_in_another_worker(
    prefect: Prefect, recipes: Path, servers: Servers, worker: Any, picture: Picture
) -> None:
    run = prefect.start("retrain", Or_a_recipe=str(recipes / "again.yaml"))
    until(lambda: training(servers), "the training")
    servers.stop_mlflow()
    assert servers.wait_for(run, *ENDS) == "Failed"
    prefect.open_artifact(run, "outcome")
    prefect.shows("MLflow did not register the model")
    servers.start_mlflow()
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    servers.start_worker("second")
    before = ran(servers, run)
    prefect.menu(run, "Retry")
    assert servers.wait_for(run, "Completed") == "Completed"
    again = ran(servers, run) - before
    assert again == {"register", "report"}
    prefect.open_run(run)
    picture("prefect-retried")


def ran(servers: Servers, run: str) -> set[str]:
    """The steps of a run that were computed: those that came to Completed, and not from the cache."""
    tasks = servers.api("POST", "task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}, "limit": 200})
    return {task["name"] for task in tasks if task["state"]["name"] == "Completed"}


def test_cancel_ends_training_within_seconds_and_keeps_its_checkpoint(
    prefect: Prefect, recipes: Path, servers: Servers, picture: Picture
) -> None:
    before, registered = len(checkpoints(servers)), versions(servers)
    run = prefect.start("retrain", Or_a_recipe=str(recipes / "little.yaml"), Epochs="100")
    until(lambda: len(checkpoints(servers)) > before and training(servers), "a checkpoint")
    pressed = prefect.menu(run, "Cancel")
    until(lambda: not training(servers), "the end of the training")
    seconds = time.monotonic() - pressed
    assert servers.wait_for(run, *ENDS) == "Cancelled"
    print(
        f"\ncancelled: training ended {seconds:.1f} s after the click, the run {time.monotonic() - pressed:.1f} s "
        f"after it"
    )
    assert seconds < 30
    assert not servers.at_work("prefect.engine")  # nothing of the run is left
    assert len(checkpoints(servers)) > before
    assert versions(servers) == registered
    prefect.open_run(run, "Logs")
    prefect.shows("Cancelled")
    picture("prefect-cancelled")


def versions(servers: Servers) -> list[str]:
    """What stands in the registry, by number."""
    import httpx

    answer = httpx.get(f"{servers.mlflow_url}/api/2.0/mlflow/model-versions/search", params={"filter": "name='little'"})
    return sorted(found["version"] for found in answer.raise_for_status().json().get("model_versions", []))
