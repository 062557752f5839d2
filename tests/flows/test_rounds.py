"""The rounds of a model that follows its gate: run, watch that finds nothing, rows that came, watch that retrains. As
typed.

One recipe, `promote: {approval: gate}` and `register: {keep_rows: false}`, in real processes on a tiny model.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from itertools import product
from pathlib import Path
from typing import Any, TextIO

import pytest
from mlflow import MlflowClient

from flows.watch import looked
from tasks.registry.evidence import FILES
from tasks.registry.promotion_ledger import read
from tasks.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, aliases
from tests.support.command import Ended, Work
from tests.support.little_recipe import HELD_OUT, ask, conversation, little_recipe, write_lines

pytestmark = pytest.mark.timeout(900)  # two trainings, four commands
NAME = "rounds"
BY_ITS_GATE = "by its gate alone, as the recipe says"


@pytest.fixture(scope="module")
def recipe(work: Work, mlflow_database: Path) -> Path:
    shutil.copyfile(mlflow_database, work.home / "mlflow.db")
    return little_recipe(
        work.folder / "little",
        NAME,
        promote={"approval": "gate"},
        register={"checked_answers": 3, "keep_rows": False},
        watch={"scored_rows": 12},
    )


@pytest.fixture(scope="module")
def unreported(work: Work, recipe: Path, server: TextIO) -> tuple[Ended, dict[str, int]]:
    """The first run, which registers its model and then cannot write its report; and the aliases after it."""
    (work.home / "artifacts").mkdir()
    (work.home / "artifacts" / "report").write_text("a file where a folder must be")
    return work.run("run", recipe), aliases(client(work), NAME)


@pytest.fixture(scope="module")
def first(work: Work, recipe: Path, unreported: tuple[Ended, dict[str, int]]) -> Ended:
    """The same run, tried again once its report can be written."""
    (work.home / "artifacts" / "report").unlink()
    return work.run("run", recipe)


@pytest.fixture(scope="module")
def nothing_new(work: Work, recipe: Path, first: Ended) -> Ended:
    return work.run("watch", recipe)


@pytest.fixture(scope="module")
def more(work: Work, recipe: Path, nothing_new: Ended) -> Ended:
    """What watch says once a dozen questions more lie at the source."""
    asked = [(label, thing) for label, thing in product(("order", "refund"), HELD_OUT)]
    rows = [conversation(ask(label, f"old {thing}", "in spring"), label) for label, thing in asked]
    write_lines(recipe.parent / "raw" / "later.jsonl", rows)
    return work.run("watch", recipe)


def client(work: Work) -> MlflowClient:
    return MlflowClient(f"sqlite:///{work.home / 'mlflow.db'}")


def runs(work: Work) -> list[tuple[str, str, str]]:
    """(name, state, tags) of each flow run, oldest first."""
    with sqlite3.connect(work.home / "prefect.db") as database:
        return list(database.execute("select name, state_name, tags from flow_run order by created"))


def told_by(work: Work) -> list[tuple[str, str]]:
    """(name, message) of the state that each flow run has come to."""
    with sqlite3.connect(work.home / "prefect.db") as database:
        states = "select s.name, s.message from flow_run r join flow_run_state s on s.id = r.state_id"
        return list(database.execute(states))


def test_a_run_that_cannot_write_its_report_fails_in_words_with_its_version_registered_and_not_promoted(
    work: Work, unreported: tuple[Ended, dict[str, int]]
) -> None:
    ended, then = unreported
    assert ended.code == 1, ended.out
    assert "The home folder cannot be written: File exists." in ended.err
    assert str(work.home / "artifacts" / "report") in ended.err
    assert "run the same command again, which goes on from here" in ended.err
    assert then == {CHALLENGER: 1}


def test_a_recipe_that_follows_the_gate_makes_its_version_champion_at_the_end_of_retrain(
    work: Work, first: Ended
) -> None:
    assert first.code == 0, first.err
    assert aliases(client(work), NAME) == {CHALLENGER: 1, CHAMPION: 1}
    (entry,) = read(client(work), NAME).entries
    assert (entry.action, entry.champion, entry.why, entry.approval) == ("promote", 1, "follows the gate", BY_ITS_GATE)
    assert f"{NAME} version 1 is champion, the first one. 3 recorded answers were given again." in first.out
    (told,) = [message for name, message in told_by(work) if name == "Completed"]
    assert f"{NAME} version 1 is champion" in told
    assert "promote the challenger" not in told


def test_rows_that_may_not_leave_home_are_in_no_registry_and_their_ledger_is(work: Work, first: Ended) -> None:
    run = client(work).get_model_version(NAME, "1").run_id
    assert run
    held = set(json.loads(Path(client(work).download_artifacts(run, "evidence.json", str(work.folder))).read_text()))
    assert not held & set(FILES["rows"].values())
    assert set(FILES["dataset"].values()) < held
    stored = {file.name for file in (work.home / "mlartifacts").rglob("*")}
    assert not stored & set(FILES["rows"])


def test_watch_says_that_nothing_is_new_and_runs_nothing(work: Work, nothing_new: Ended) -> None:
    assert nothing_new.code == 0, nothing_new.err
    assert "unchanged  2 of 2 sources are as champion rounds version 1 learnt from them" in nothing_new.out
    assert nothing_new.err == ""
    assert not (work.home / "artifacts" / "new_rows").exists()


def test_watch_retrains_for_a_reason_once_rows_have_come_and_the_new_version_becomes_champion(
    work: Work, more: Ended
) -> None:
    assert more.code == 0, more.out + more.err
    assert "compared" in more.out
    assert f"started    Retrained here ({NAME}: more rows), which ended as Completed" in more.out
    assert aliases(client(work), NAME) == {CHALLENGER: 2, CHAMPION: 2, PREVIOUS: 1}
    assert [entry.approval for entry in read(client(work), NAME).entries] == [BY_ITS_GATE] * 2
    (tags,) = [tags for name, state, tags in runs(work) if name == f"{NAME}: more rows"]
    assert {"watch", f"model:{NAME}", "reason:more rows"} < set(json.loads(tags))


def test_the_champion_was_asked_again_on_todays_holdout_and_stands_beside_the_new_model(
    work: Work, first: Ended, more: Ended
) -> None:
    assert "champion" not in first.out.split("holdout ")[1].split("gate ")[0]
    assert f"champion   The champion, {NAME} version 1, gets " in more.out
    (entry,) = [entry for entry in read(client(work), NAME).entries if entry.champion == 2]
    assert "that of version 1, the champion" in entry.evidence
    assert len(work.made("ask_champion")) == 1


def test_once_it_is_champion_the_same_run_is_all_cached_and_compares_with_the_one_it_replaced(
    work: Work, recipe: Path, more: Ended
) -> None:
    again = work.run("run", recipe)
    assert again.code == 0, again.err
    assert "nothing changed: nothing was trained, nothing was registered" in again.out
    assert f"The champion, {NAME} version 1, gets " in again.out
    assert aliases(client(work), NAME) == {CHALLENGER: 2, CHAMPION: 2, PREVIOUS: 1}
    assert len(work.made("evaluate")) == len(work.made("register")) == 2


def test_the_round_after_finds_nothing_again_for_the_sources_are_known_from_the_registry_and_the_rows_are_not(
    work: Work, recipe: Path, more: Ended, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.recipe import load_recipe
    from tasks.registry.champion import fill

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{work.home / 'mlflow.db'}")
    seen: Any = looked(load_recipe(str(recipe)))[1]
    assert (seen.unchanged, seen.champion.version, len(seen.same)) == (True, 2, 3)
    assert sorted(fill(home, seen.champion)) == ["contract.json", "dataset.json", "ledger.parquet", "scores.json"]
