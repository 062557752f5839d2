"""The whole run as a person types it, in real processes on a tiny model: registered once, whatever is killed in
between.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TextIO

import polars as pl
import pytest

from flows.cli.main import REFUSED as REFUSED_CODE
from tests.support.command import Ended, Work, until
from tests.support.little_recipe import REFUSED, little_recipe

pytestmark = pytest.mark.timeout(900)  # the first test waits for three runs

STUDY = """
import sys
from flows.servers import environment, run_flow

def load(name):
    from flows.curate import curated
    from flows.recipe import load_recipe
    from flows.retrain import evaluated
    from prefect import flow

    @flow(name=name, persist_result=False)
    def study(recipe: str) -> None:
        plan = load_recipe(recipe)
        model = evaluated(plan, curated(plan))
        print("the gate says", model.verdict.facts()["verdict"])

    return study

environment.prepare()
run_flow.load = load
run_flow.run_with("study", "a recipe", recipe=sys.argv[1]).result()
"""


def as_typed(work: Work) -> Work:
    """No forks: the real command, its launcher and the process of its version."""
    return replace(work, assay=Work.assay)


def versions(work: Work, name: str) -> list[tuple[int, list[str]]]:
    """Of a registered model: each version, and its aliases."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{work.home / 'mlflow.db'}")
    found = client.search_model_versions(f"name = '{name}'")
    return [(int(v.version), list(client.get_model_version(name, v.version).aliases)) for v in found]


def states(work: Work) -> list[str]:
    """The name of each flow run's state, in the order of the runs, as the Prefect page shows it."""
    with sqlite3.connect(work.home / "prefect.db") as database:
        return [name for (name,) in database.execute("select state_name from flow_run order by created")]


def page(run: Ended) -> str:
    """The report that the run named."""
    return Path(next(word for word in run.out.split() if word.endswith("report.html"))).read_text()


@pytest.fixture(scope="module")
def killed(work: Work, little: Path) -> None:
    """The run, killed in training, and again, in forks, as soon as the adapter is there. Nothing may be left running
    either time.
    """
    scratch = work.home / "scratch" / "train"

    def one_is_whole() -> bool:  # the first one, when there is a second
        return len(list(scratch.glob("*/checkpoints/*/trainer_state.json"))) > 1

    as_typed(work).kill_when("run", little, one_is_whole)
    assert not work.made("train"), "it was killed too late"
    work.kill_when("run", little, lambda: work.made("train"))
    assert not (work.home / "mlflow.db").exists(), "it was killed too late"


@pytest.fixture(scope="module")
def first(work: Work, little: Path, killed: None, server: TextIO) -> Ended:
    """The first run that was let be."""
    return as_typed(work).run("run", little)


@pytest.fixture(scope="module")
def again(work: Work, little: Path, first: Ended) -> Ended:
    return work.run("run", little)


@pytest.fixture(scope="module")
def refused(work: Work, little: Path, first: Ended) -> Ended:
    rules = json.dumps(REFUSED["rules"], separators=(",", ":"))
    return work.run(f"run --set name=refused --set gate.rules={rules}", little)


def test_after_two_kills_the_same_command_goes_on_from_its_checkpoint_and_trains_once(work: Work, first: Ended) -> None:
    assert first.code == 0, first.err
    (adapter,) = work.made("train")
    assert json.loads((adapter / "told.json").read_text())["actual"]["resumed_from_step"] > 0


def test_after_two_kills_there_is_one_version_and_it_is_the_challenger(work: Work, first: Ended) -> None:
    assert versions(work, "little") == [(1, ["challenger"])]


def test_a_killed_run_does_not_look_as_if_it_went_on(work: Work, first: Ended) -> None:
    until(lambda: states(work)[:3] == ["Crashed", "Crashed", "Completed"], "the state Completed")


def test_the_last_lines_tell_rows_scores_verdict_version_and_report(first: Ended) -> None:
    for told in (
        "rows       60 in: ",
        "holdout    13 rows",
        "gate       passed: 1 of 1 rules hold",
        "model      little, version 1, alias challenger",
        "report     ",
        "assay ui",
    ):
        assert told in first.out
    assert first.err == ""


def test_the_ledger_balances(work: Work, first: Ended) -> None:
    (dataset,) = work.made("account")
    ledger = pl.read_parquet(dataset / "ledger.parquet").filter(pl.col("action") != "changed")
    (raw,) = work.made("ingest")
    held = pl.read_parquet(raw / "quarantine.parquet")["row_id"]
    came = pl.concat([pl.read_parquet(raw / "rows.parquet")["row_id"], held])
    assert sorted(ledger["row_id"]) == sorted(came)
    kept = pl.read_parquet(dataset / "curated.parquet")["row_id"]
    assert sorted(kept) == sorted(ledger.filter(pl.col("action") == "kept")["row_id"])


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)


def test_a_row_with_a_script_is_text_in_the_report(first: Ended) -> None:
    assert "&lt;script&gt;" in page(first)
    assert "script" not in Tags(page(first)).tags


def test_a_second_run_trains_and_registers_nothing_and_says_so(work: Work, again: Ended) -> None:
    assert again.code == 0, again.err
    assert "nothing changed: nothing was trained, nothing was registered" in again.out
    assert "done" not in {line.split()[0] for line in again.out.splitlines() if line.strip()}
    assert "little, version 1, alias challenger" in again.out
    assert versions(work, "little") == [(1, ["challenger"])]
    assert len(work.made("train")) == 1


def test_a_refused_model_exits_with_4_and_is_not_registered(work: Work, refused: Ended) -> None:
    assert refused.code == REFUSED_CODE, refused.err
    assert "not registered, for the gate's verdict is refused" in refused.out
    assert versions(work, "refused") == []
    assert refused.err == ""


def test_the_report_of_a_refused_model_says_why(refused: Ended) -> None:
    assert "even the high end is below the floor" in page(refused)
    assert "0 of 4 rows right" in page(refused)


def test_the_flow_run_of_a_refused_model_is_refused_and_not_crashed(work: Work, refused: Ended) -> None:
    until(lambda: "Refused" in states(work), "the state Refused")


def test_a_flow_of_ones_own_trains_and_judges_and_registers_nothing(work: Work, first: Ended) -> None:
    before = {step: len(work.made(step)) for step in ("train", "gate", "register", "report")}
    rule = {"metric": "json_valid", "at_least": 0.2}
    recipe = little_recipe(work.folder / "little", "studied", gate={"rules": [rule]})
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    command, home = [sys.executable, "-c", STUDY, str(recipe)], {"ASSAY_HOME": str(work.home)}
    done = subprocess.run(command, capture_output=True, text=True, env={**clean, **home}, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "the gate says passed" in done.stdout
    made = {step: len(work.made(step)) - there for step, there in before.items()}
    assert made == {"train": 0, "gate": 1, "register": 0, "report": 0}  # trained as before, and judged anew
    assert versions(work, "studied") == []


def test_mlflow_may_be_away_for_a_while(work: Work, first: Ended) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    elsewhere = little_recipe(work.folder / "little", "elsewhere")
    log = work.home / "logs" / "assay.log"
    told_before = log.stat().st_size
    process = work.start("run", elsewhere, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    until(lambda: "MLflow did not" in log.read_text()[told_before:] or process.poll() is not None, "a failure")
    with mlflow_server(work, port):
        ended = work.ended(process)
    assert ended.code == 0, ended.err
    assert "elsewhere, version 1, alias challenger" in ended.out
    assert versions(work, "elsewhere") == [(1, ["challenger"])]


@contextlib.contextmanager
def mlflow_server(work: Work, port: int) -> Iterator[None]:
    """The real server, on the same database as the runs before."""
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        f"sqlite:///{work.home / 'mlflow.db'}",
        "--default-artifact-root",
        str(work.home / "mlartifacts"),
    ]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (work.folder / "mlflow.txt").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **quiet})
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_nothing_runs_on_when_all_is_done(
    work: Work, server: TextIO, first: Ended, again: Ended, refused: Ended
) -> None:
    server.close()
    work.wait_until_idle()
