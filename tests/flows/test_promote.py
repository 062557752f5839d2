"""Promotion, rollback and reconcile on a real MLflow: what moves an alias, what refuses to, and what the ledger says of
it.

One SQLite database and four tiny versions for the file; a test starts from the aliases it needs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import PromotionError
from tasks.core.home import home
from tasks.registry import mlflow_client
from tasks.registry.mlflow_client import model_id
from tasks.registry.moves_by_hand import up_to_date
from tasks.registry.promotion_ledger import EXPERIMENT, Entry, Ledger, OvertakenError, append, read, settle
from tasks.registry.promotion_pages import APPROVAL, OUTCOME, show
from tasks.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, STATE, aliases
from tasks.release.promote import WaitingError, check_answers, check_approval, check_evidence, find_candidate, move
from tasks.release.reconcile import FLAG, models, reconcile
from tasks.release.rollback import rollback
from tests.support.registration import another, make_inputs


@pytest.fixture(scope="module")
def place(registry: Path, one_thread: None) -> Path:
    return registry


@pytest.fixture(scope="module")
def made(place: Path) -> list[Any]:
    """Three versions as `register` leaves them."""
    with pytest.MonkeyPatch.context() as patch:
        stand_in(place, patch)
        first = make_inputs(place)
        for inputs in (first, another(first, seed=2), another(first, seed=3)):
            inputs.register(checked=2)
        return [mlflow_client.client().get_model_version("shop", number) for number in ("1", "2", "3")]


def stand_in(place: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ASSAY_HOME", str(place / "home"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'home' / 'mlflow.db'}")
    patch.chdir(place)


@pytest.fixture
def model(place: Path, made: list[Any], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A registered model of this test's own with those versions, as MLflow copies them; 2 is challenger, none is
    champion.
    """
    stand_in(place, monkeypatch)
    name = re.sub(r"[^a-z_.]", "-", request.node.name.removeprefix("test_"))
    client = mlflow_client.client()
    client.create_registered_model(name)
    for version in made:
        client.create_model_version(name, version.source, version.run_id, tags=version.tags)
    client.set_registered_model_alias(name, CHALLENGER, "2")
    return name


def promote(model: str, version: int = 0, approve: bool = True, reason: str = "better") -> Ledger:
    candidate = find_candidate(model, version)
    evidence = check_evidence(candidate)
    approval = check_approval(candidate, approve)
    return move(candidate, evidence, approval, reason, check_answers(candidate, evidence))


def quickly(model: str, version: int) -> Ledger:
    """Promoted without loading it, for tests of what comes after."""
    candidate = find_candidate(model, version)
    return move(candidate, check_evidence(candidate), "approved by a test", "first", 0)


def standing(model: str) -> tuple[int, int]:
    there = aliases(mlflow_client.client(), model)
    return there.get(CHAMPION, 0), there.get(PREVIOUS, 0)


def tags(model: str, version: int) -> dict[str, str]:
    return dict(mlflow_client.client().get_model_version(model, str(version)).tags)


def tag(model: str, version: int, key: str, value: str) -> None:
    mlflow_client.client().set_model_version_tag(model, str(version), key, value)


def by_hand(model: str, alias: str, version: int) -> None:
    mlflow_client.client().set_registered_model_alias(model, alias, str(version))


def stored_at(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def unproven(model: str) -> int:
    """A version that somebody registered by hand on MLflow's page."""
    client = mlflow_client.client()
    made = client.create_model_version(model, client.get_model_version(model, "1").source)
    return int(made.version)


def test_a_challenger_that_is_approved_becomes_champion_with_a_record(model: str) -> None:
    ledger = promote(model, reason="fewer misses on refunds")
    (entry,) = ledger.entries
    assert standing(model) == (2, 0)
    assert (entry.was, entry.champion, entry.action, entry.why) == (0, 2, "promote", "fewer misses on refunds")
    assert entry.who in entry.approval
    assert "exact 90.0 % [80.0, 95.0] on 6 holdout rows; gate passed; 2 recorded answers given again" in entry.evidence
    shown = tags(model, 2)
    assert shown[STATE] == "champion"
    assert "champion none -> 2, promote by" in shown["alias.0001"]
    run = mlflow_client.client().get_run(ledger.run_id)
    assert Entry.model_validate_json(run.data.params["0001"]) == entry
    assert "fewer misses on refunds" in run.data.tags["mlflow.note.content"]
    file = mlflow_client.client().download_artifacts(ledger.run_id, "entries/0001.json", str(home()))
    assert json.loads(Path(file).read_text())["key"] == entry.key


def test_the_one_before_is_previous_and_its_page_says_so(model: str) -> None:
    quickly(model, 1)
    quickly(model, 2)
    assert standing(model) == (2, 1)
    assert tags(model, 1)[STATE] == "replaced"
    assert "champion 1 -> 2" in tags(model, 1)["alias.0002"]


def test_without_approval_it_waits_and_a_tag_set_on_mlflows_page_lets_it_through_once(model: str) -> None:
    with pytest.raises(WaitingError, match="waits for approval"):
        promote(model, approve=False)
    tag(model, 2, APPROVAL, "Approved by Eve, after the demo")
    assert promote(model, approve=False).entries[-1].approval == "Approved by Eve, after the demo"
    assert tags(model, 2)[APPROVAL] == "used for promotion 0001: Approved by Eve, after the demo"
    quickly(model, 1)
    with pytest.raises(WaitingError):
        promote(model, 2, approve=False)


def test_a_version_that_somebody_declined_is_refused_even_when_the_form_approves(model: str) -> None:
    tag(model, 2, APPROVAL, "declined by Eve: tone")
    with pytest.raises(PromotionError, match="declined by Eve: tone"):
        promote(model, approve=True)
    assert standing(model) == (0, 0)


def test_where_the_recipe_says_so_the_gate_is_enough_but_not_after_a_rollback(model: str) -> None:
    client = mlflow_client.client()
    client.log_param(client.get_model_version(model, "3").run_id, "promote.approval", "gate")
    quickly(model, 1)
    assert promote(model, 3, approve=False).entries[-1].approval == "by its gate alone, as the recipe says"
    rollback(model, "slow")
    with pytest.raises(WaitingError, match=r"taken back before \(entry 0003\)"):
        promote(model, 3, approve=False)


def test_a_version_that_never_passed_its_gate_is_refused(model: str) -> None:
    with pytest.raises(PromotionError, match="never passed its gate"):
        promote(model, unproven(model))
    tag(model, 2, STATE, "rejected")
    with pytest.raises(PromotionError, match="was rejected when it was registered"):
        promote(model, 2)
    assert standing(model) == (0, 0)


@pytest.mark.parametrize("file", ["gate/verdict.json", "evaluation/checked_answers.json", "unit.json", "evidence.json"])
def test_evidence_that_was_changed_since_is_refused(model: str, file: str) -> None:
    candidate = find_candidate(model, 1)
    stored = stored_at(mlflow_client.client().get_run(candidate.version.run_id).info.artifact_uri) / file
    text = stored.read_text()
    stored.write_text(text + " ")
    with pytest.raises(PromotionError, match="has changed since"):
        check_evidence(candidate)
    stored.unlink()
    with pytest.raises(PromotionError, match="is not there"):
        check_evidence(candidate)
    stored.write_text(text)
    assert check_evidence(candidate).metric.startswith("exact 90.0 %")


def test_a_file_of_the_model_that_was_changed_is_refused_before_its_code_runs(model: str) -> None:
    client = mlflow_client.client()
    code = (
        stored_at(client.get_logged_model(model_id(find_candidate(model, 3).version)).artifact_location)
        / "served_model.py"
    )
    text = code.read_text()
    code.write_text(text + "\nraise SystemExit('this code ran')\n")
    with pytest.raises(PromotionError, match="not those that were registered"):
        promote(model, 3)
    code.write_text(text)
    assert standing(model) == (0, 0)


def test_an_answer_that_differs_from_the_recorded_one_is_refused(model: str) -> None:
    candidate = find_candidate(model)
    evidence = check_evidence(candidate)
    other = [{**row, "answer": f"{row['answer']}!"} for row in evidence.checked]
    with pytest.raises(PromotionError, match="does not answer as it was evaluated"):
        check_answers(candidate, replace(evidence, checked=other))


def test_what_is_not_there_is_said_in_words(model: str) -> None:
    with pytest.raises(PromotionError, match="has no version 9") as caught:
        promote(model, 9)
    assert "versions 1, 2" in str(caught.value)
    mlflow_client.client().delete_registered_model_alias(model, CHALLENGER)
    with pytest.raises(PromotionError, match="has no challenger"):
        promote(model)
    with pytest.raises(PromotionError, match="no registered model 'nobody'"):
        rollback("nobody", "why")


def test_rollback_walks_back_through_the_champions_and_then_says_that_there_is_none(model: str) -> None:
    for version in (1, 2, 3):
        quickly(model, version)
    assert rollback(model, "wrong tone").entries[-1].why == "wrong tone"
    assert standing(model) == (2, 1)
    assert tags(model, 3)[STATE] == "rolled back"
    rollback(model, "still wrong")
    assert standing(model) == (1, 0)
    with pytest.raises(PromotionError, match=r"no previous champion to return to; champion stays version 1\."):
        rollback(model, "again")
    assert [e.action for e in read(mlflow_client.client(), model).entries] == ["promote"] * 3 + ["rollback"] * 2


def test_rollback_to_a_version_that_was_deleted_says_so(model: str) -> None:
    quickly(model, 1)
    quickly(model, 2)
    mlflow_client.client().delete_model_version(model, "1")
    with pytest.raises(PromotionError, match=r"Champions that were deleted: 1\."):
        rollback(model, "slow")
    assert standing(model) == (2, 0)


def test_an_alias_moved_by_hand_is_recorded_once_and_flagged_until_it_is_put_right(model: str) -> None:
    quickly(model, 1)
    wrong = unproven(model)
    by_hand(model, CHAMPION, wrong)
    found = reconcile(model)
    assert found.moved == f"champion was moved from 1 to {wrong} in MLflow, not by Assay"
    assert "never passed its gate" in found.flag
    assert found.ledger.entries[-1].action == "by hand"
    assert "never passed its gate" in tags(model, wrong)[FLAG]
    again = reconcile(model)
    assert (again.moved, again.flag, again.ledger) == ("", found.flag, found.ledger)
    assert standing(model) == (wrong, 1)
    rollback(model, "moved by mistake")
    assert standing(model) == (1, 0)
    assert reconcile(model).flag == ""
    assert FLAG not in tags(model, wrong)


def test_a_rollback_by_hand_is_recorded_and_the_version_that_passed_is_not_flagged(model: str) -> None:
    quickly(model, 1)
    quickly(model, 2)
    by_hand(model, CHAMPION, 1)
    found = reconcile(model)
    assert (found.moved, found.flag) == ("champion was moved from 2 to 1 in MLflow, not by Assay", "")
    assert standing(model) == (1, 0)
    assert tags(model, 2)[STATE] == "replaced by hand"


def test_a_champion_alias_that_was_deleted_is_flagged_and_rollback_brings_it_back(model: str) -> None:
    quickly(model, 1)
    quickly(model, 2)
    mlflow_client.client().delete_registered_model_alias(model, CHAMPION)
    assert "no champion any more" in reconcile(model).flag
    rollback(model, "deleted by mistake")
    assert standing(model) == (2, 1)


def test_a_process_killed_between_the_decision_and_the_alias_is_finished_by_the_next(model: str) -> None:
    client = mlflow_client.client()
    quickly(model, 1)
    decided = append(
        client, read(client, model), action="promote", who="killed", why="", champion=2, previous=1, approval="yes"
    )
    assert standing(model) == (1, 0)
    ledger, moved = up_to_date(client, model)
    assert (standing(model), moved, ledger.entries) == ((2, 1), "", decided.entries)


def test_a_decision_that_is_tried_again_after_a_lost_connection_is_made_once(model: str) -> None:
    for version in (1, 2, 3):
        quickly(model, version)
    assert rollback(model, "slow", "run 7").entries == rollback(model, "slow", "run 7").entries
    assert standing(model) == (2, 1)
    candidate = find_candidate(model, 3)
    evidence = check_evidence(candidate)
    append(
        mlflow_client.client(), candidate.ledger, key="run 8", action="promote", who="p", why="", champion=3, previous=2
    )
    assert move(candidate, evidence, "yes", "", 0, "run 8").entries[-1].number == 5
    assert standing(model) == (3, 2)


def test_a_very_long_text_is_cut_and_the_ledger_stays_readable(model: str) -> None:
    candidate = find_candidate(model)
    approval = "approved by Eve " + '"\\' * 4000
    move(candidate, check_evidence(candidate), approval, "\n" * 4000, 0)
    assert read(mlflow_client.client(), model).entries[0].approval.startswith("approved by Eve")


def test_a_version_deleted_between_the_decision_and_the_alias_leaves_the_champion_in_place(model: str) -> None:
    client = mlflow_client.client()
    quickly(model, 1)
    decided = append(client, read(client, model), action="promote", who="slow", why="", champion=2, previous=1)
    client.delete_model_version(model, "2")
    with pytest.raises(PromotionError, match="version 2 was deleted"):
        settle(client, decided, show)
    assert standing(model)[0] == 1
    assert reconcile(model).ledger.champion == 1


def test_one_that_was_asleep_between_the_decision_and_the_alias_does_not_undo_what_came_after(model: str) -> None:
    client = mlflow_client.client()
    asleep = append(client, read(client, model), action="promote", who="asleep", why="", champion=1, previous=0)
    quickly(model, 2)  # finds that entry, finishes it, and promotes 2
    assert settle(client, asleep, show).champion == 2
    assert standing(model) == (2, 1)


def test_of_two_promotions_at_once_one_wins_and_the_other_says_so(model: str) -> None:
    candidates = [find_candidate(model, version) for version in (1, 2)]
    outcomes = at_once(candidates, lambda c: move(c, check_evidence(c), "yes", "race", 0))
    lost = [outcome for outcome in outcomes if isinstance(outcome, OvertakenError)]
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, Ledger)]
    assert len(lost) == 1
    assert f"champion is version {won.champion}" in str(lost[0])
    assert len(read(mlflow_client.client(), model).entries) == 1
    assert standing(model) == (won.champion, 0)


def test_of_two_processes_at_once_on_one_number_exactly_one_writes_it(model: str, place: Path) -> None:
    code = (
        "import sys; from tasks.registry import mlflow_client; from tasks.registry.promotion_ledger import append, read, "
        "OvertakenError\n"
        "client = mlflow_client.client(); ledger = read(client, sys.argv[1]); print('ready', flush=True); "
        "sys.stdin.readline()\n"
        "try:\n    append(client, ledger, action='promote', who='p', why='', champion=1, previous=0); print('won')\n"
        "except OvertakenError: print('overtaken')\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, model], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = sorted(racer.communicate(timeout=60)[0].strip() for racer in racers)
    assert said == ["overtaken", "won"]
    assert len(mlflow_client.client().search_experiments(filter_string=f"name LIKE '{model} promotions%'")) == 1


def test_a_ledger_that_was_deleted_on_mlflows_page_comes_back(model: str) -> None:
    client = mlflow_client.client()
    ledger = quickly(model, 1)
    client.delete_run(ledger.run_id)
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT.format(model)).experiment_id)
    assert read(client, model).entries == ledger.entries
    assert quickly(model, 2).entries[0] == ledger.entries[0]


def test_the_champion_is_what_mlflow_loads_by_its_alias(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setattr(sys, "path", list(sys.path))
    answers = []
    for version in (1, 2):
        quickly(model, version)
        loaded = mlflow.pyfunc.load_model(f"models:/{model}@{CHAMPION}")
        answers.append(loaded.predict([{"message": "Where is my parcel?"}])["answer"][0])
    assert answers[0] != answers[1]


def test_the_flows_end_in_states_that_say_what_became_of_it_and_what_to_do(prefect: None, model: str) -> None:
    from flows.promote import promote as promote_flow
    from flows.reconcile import reconcile as reconcile_flow
    from flows.rollback import rollback as rollback_flow

    waiting = promote_flow(model, return_state=True)
    assert (waiting.name, waiting.type.value) == ("Waiting for approval", "COMPLETED")
    assert f"assay promote {model} --version 2" in waiting.message
    assert tags(model, 2)[APPROVAL] == "waiting; write here: approved by YOUR NAME"
    done = promote_flow(model, approve=True, reason="better", return_state=True)
    assert (done.name, done.result()["champion"]) == ("Promoted", 2)
    assert "Prefect run" in read(mlflow_client.client(), model).entries[-1].who
    assert OUTCOME not in tags(model, 2)
    assert "champion already" in promote_flow(model, return_state=True).message
    refused = rollback_flow(model, "slow", return_state=True)
    assert (refused.name, "no previous champion" in refused.message) == ("Refused", True)
    by_hand(model, CHAMPION, unproven(model))
    flagged = reconcile_flow(model, return_state=True)
    assert (flagged.name, flagged.type.value) == ("Flagged", "FAILED")
    assert "To do: `assay rollback" in flagged.message
    assert rollback_flow(model, "by mistake", return_state=True).name == "Rolled back"
    assert reconcile_flow(model, return_state=True).name == "Completed"


def test_the_flow_shows_the_comparison_with_the_champion_and_refuses_a_worse_version_without_a_reason(
    prefect: None, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import promote as module
    from tasks.release.comparison import Comparison

    quickly(model, 1)
    worse = Comparison("On 120 holdout rows its intent is 85 %, that of version 1, the champion, 96 %.", is_worse=True)
    monkeypatch.setattr(module, "compared", lambda *_: worse)
    waiting = module.promote(model, return_state=True)
    assert (waiting.name, worse.text in waiting.message) == ("Waiting for approval", True)
    refused = module.promote(model, approve=True, return_state=True)
    assert (refused.name, worse.text in refused.message) == ("Refused", True)
    assert standing(model) == (1, 0)
    done = module.promote(model, approve=True, reason="the old one is rude", return_state=True)
    assert (done.name, worse.text in done.message) == ("Promoted", True)


def test_reconcile_looks_at_every_model_of_assay_and_at_no_other(model: str) -> None:
    mlflow_client.client().create_registered_model(f"foreign-{model}")
    assert model in models()
    assert f"foreign-{model}" not in models()


ROOT = Path(__file__).parents[2]


def at_once(given: list[Any], work: Callable[[Any], Any]) -> list[Any]:
    """What `work` gave or raised for each, all started at the same moment."""
    outcomes: list[Any] = [None] * len(given)
    start = threading.Barrier(len(given))

    def run(place: int) -> None:
        start.wait()
        try:
            outcomes[place] = work(given[place])
        except PromotionError as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
