"""New rows beside a snapshot: what is told, what is found, and what is left out where the snapshot has no rows."""

from __future__ import annotations

import json
from typing import Any

from data_contracts.contract import read_contract
from tasks.core.handle import REFERENCE, Handle
from tasks.core.ledger import Outcome, entries
from tasks.core.row_kind import SFT
from tasks.core.work import StepDirs, StepResult
from tasks.facts.watched import CompareFacts
from tasks.metrics.answer_schema import AnswerSettings
from tasks.monitoring.compare import compare, table
from tasks.monitoring.retrain_rule import WatchSettings
from tests.support.run_artifacts import Row, artifact, row, rows, step

SCHEMA = {"type": "object", "properties": {"intent": {"enum": ["order", "refund", "invoice"]}}}
ANSWER = AnswerSettings(label="intent", graded=("intent",), json_schema=SCHEMA)
CONTRACT = read_contract("sft")
OLD = ("order", "refund")
RULE = "has_html: values to be in set (value_set [false])"


def asked(
    count: int, labels: tuple[str, ...] = OLD, text: str = "Where is thing {n} of mine?", start: int = 0
) -> list[Row]:
    """Rows with the labels in turn, none of them twice."""
    return [row(text.format(n=n), json.dumps({"intent": labels[n % len(labels)]})) for n in range(start, start + count)]


def handle(told: list[Row]) -> Handle:
    return step("format", None, Outcome(rows(told), entries("format", [])))


def snapshot(told: list[Row] | None) -> Handle:
    def fill(place: StepDirs) -> StepResult:
        files = []
        if told is not None:
            rows(told).write_parquet(place.out / REFERENCE)
            known = {"expectations": [expectation(RULE, 6, 600)], "passed": True}
            (place.out / "contract.json").write_text(json.dumps(known))
            files = ["contract.json", REFERENCE]
        return StepResult("snapshot", "", {"files": files}, rows=len(told or []))

    return artifact("snapshot", fill)


def compared(
    old: list[Row] | None, came: list[Row], passed: list[Row] | None = None, checked: Handle | None = None, **rule: Any
) -> dict[str, Any]:
    """The facts of compare, its comparisons by what they are of."""
    new = handle(came if passed is None else passed) if passed != [] else None
    made = artifact(
        "compare",
        lambda place: compare(
            place, WatchSettings(**rule), snapshot(old), handle(came), new, CONTRACT, checked, ANSWER, SFT
        ),
    )
    facts = made.facts()
    assert table(CompareFacts.of(made)) == facts["table"]
    return {**facts, **{c["what"]: c for c in facts["comparisons"]}}


def expectation(rule: str, failed: int, checked: int) -> dict[str, Any]:
    return {
        "name": rule,
        "rule": rule,
        "severity": "warn",
        "success": not failed,
        "failed": failed,
        "checked": checked,
        "share": failed / checked,
    }


def checked_as(failed: dict[str, int]) -> Handle:
    """What check leaves, with every expectation as a warning."""
    told = [expectation(rule, count, 60) for rule, count in {RULE: 0, **failed}.items()]
    return artifact("check", lambda place: StepResult("contract", "", {"expectations": told, "passed": True}))


def test_rows_of_the_same_kind_are_no_drift() -> None:
    found = compared(asked(200), asked(60, start=200))
    assert not any(c["found"] for c in found["comparisons"])
    assert found["line"] == "60 new rows: no drift found"


def test_what_drifted_is_named_in_the_line_and_told_with_its_shares() -> None:
    found = compared(asked(200), asked(60, ("refund",), "Money back for thing {n}, please."))
    assert found["line"] == "60 new rows: other than the snapshot in prompt length, words, labels"
    assert "refund 50% -> 100%" in found["labels"]["told"]
    assert "money 0% -> 100%" in found["words"]["told"]


def test_below_the_least_rows_nothing_is_found_however_large_the_difference() -> None:
    found = compared(asked(200), asked(49, ("invoice",), "Rien de tout ça numéro {n}"))
    assert not any(c["found"] for c in found["comparisons"])
    assert found["words"]["told"] == "too few new rows to tell (49 of 50)"


def test_a_label_it_never_saw_is_found_from_the_share_that_the_rule_names() -> None:
    new = [*asked(97, start=200), *asked(3, ("invoice",), "The paper of thing {n}?")]
    assert compared(asked(200), new)["new labels"]["found"]
    assert not compared(asked(200), new, new_label_share=0.04)["new labels"]["found"]
    assert not compared(asked(200), [*new[:97], *new[97:99]])["new labels"]["found"]  # two may be slips of the pen


def test_a_label_that_the_answer_form_keeps_out_is_told_and_a_single_one_is_not_repeated() -> None:
    held = [*asked(4, ("complaint",), "I am cross, {n}"), *asked(1, ("jo.doe@example.com",), "Oh {n}")]
    came = [*asked(60, start=200), *held]
    found = compared(asked(200), came, came[:60])
    assert found["rows held back"]["new"] == "7.7%"
    assert found["labels the recipe does not know"]["told"].endswith(": complaint (4)")
    assert "jo.doe" not in json.dumps(found)


def test_where_no_row_came_through_that_is_what_is_told() -> None:
    found = compared(asked(200), asked(60), [])
    assert [c["what"] for c in found["comparisons"]] == ["rows held back"]
    assert found["rows held back"]["new"] == "100.0%"


def test_a_snapshot_whose_rows_were_not_kept_says_that_what_needs_them_was_not_compared() -> None:
    found = compared(None, asked(60), checked=checked_as({}))
    assert [c["what"] for c in found["comparisons"]] == [
        "rows held back",
        "lengths, words, labels",
        "contract break rate",
    ]
    assert "register: keep_rows" in found["lengths, words, labels"]["told"]
    assert found["line"] == "60 new rows: compared with no row of the snapshot"


def test_a_broken_expectation_is_told_beside_the_snapshots_and_only_one_that_blocks_counts_as_broken() -> None:
    blocks = next(e.rule for e in CONTRACT.expectations if e.severity == "block" and "has_card" in e.rule)
    found = compared(asked(200), asked(60), checked=checked_as({RULE: 6, blocks: 3}))
    assert found["broken"] == f"{blocks}: 3 of 60 new rows"
    told = found[f"contract: {RULE}"]
    assert (told["snapshot"], told["new"]) == ("1.0%", "10.0%")
    assert told["told"] == "6 of 60 new rows break it, of severity warn"
    assert (found["contract break rate"]["snapshot"], found["contract break rate"]["new"]) == ("1.0%", "10.0%")
    assert found["line"].endswith("and they break the contract")
