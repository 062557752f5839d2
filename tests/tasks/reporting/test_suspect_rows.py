"""What a report shows of contradictions and of doubted labels: each row once, the same whatever the order, never in
raw.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tasks.core.handle import Handle
from tasks.core.ledger import Outcome, entries
from tasks.metrics.answer_schema import AnswerSettings
from tasks.reporting.suspect_rows import contradictions, doubted_labels
from tests.support.run_artifacts import Row, judged, row, rows, step

ANSWER = AnswerSettings(label="intent")
# Three prompts with three answers each, and one row that nobody doubts.
ASKED = [row(f"Money for {n // 3}?", json.dumps({"intent": "abc"[n % 3]})) for n in range(9)]
PLAIN = row("Where?", json.dumps({"intent": "a"}))


def books(told: dict[str, Any], order: int = 0, redact: bool = True) -> list[Handle]:
    found = [*ASKED, PLAIN]
    random.Random(order).shuffle(found)
    steps = [step("ingest", None, Outcome(rows(found), entries("ingest", [])))]
    if redact:
        steps.append(step("redact", steps[-1], Outcome(steps[-1].frame(), entries("redact", []))))
    return [*steps, judged("judge", steps[-1], lambda one: told.get(one["row_id"]))]


def contradicting() -> dict[str, Any]:
    """Each row names the next that asks the same; more rows have a word in on the last prompt."""
    told = {}
    for n, one in enumerate(ASKED):
        partner: Row = ASKED[n - n % 3 + (n + 1) % 3]
        votes = [{"label": "a", "votes": 1 + n // 3}, {"label": "b", "votes": 1}]
        told[one["row_id"]] = (
            "quarantined",
            "contradicts",
            {"partner": partner["row_id"], "jaccard": 1.0, "labels": votes},
        )
    return told


def test_each_row_stands_in_one_pair_and_those_with_most_votes_come_first() -> None:
    found = contradictions(books(contradicting()), ANSWER, 10, 500)
    assert (found.rows, found.done) == (9, [("quarantined", 9)])
    assert [pair.sides[0].prompt for pair in found.shown] == ["Money for 2?", "Money for 1?", "Money for 0?"]
    ids = [side.row_id for pair in found.shown for side in pair.sides]
    assert len(set(ids)) == len(ids) == 6
    assert all(pair.same and {side.label for side in pair.sides} <= set("abc") for pair in found.shown)


def test_what_is_shown_does_not_depend_on_the_order_of_rows() -> None:
    seen = [contradictions(books(contradicting(), order), ANSWER, 2, 500) for order in range(3)]
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0].shown) == 2


def test_doubted_labels_come_by_rank_and_say_what_became_of_them() -> None:
    about = {"suggested": "b", "self_confidence": 0.1, "confidence": 0.8}
    told = {
        one["row_id"]: ("quarantined", "wrong", {**about, "given": "a", "rank": 9 - n}) for n, one in enumerate(ASKED)
    }
    found = doubted_labels(books(told), 3, 500)
    assert (found.rows, found.done) == (9, [("quarantined", 9)])
    assert [doubt.row_id for doubt in found.shown] == [one["row_id"] for one in ASKED[:-4:-1]]
    assert (found.shown[0].prompt, found.shown[0].given, found.shown[0].suggested) == ("Money for 2?", "a", "b")


@pytest.mark.parametrize("about", [{"partner": "Jo"}, {"suggested": "b"}, {"partner": 3, "labels": ["a"]}])
def test_a_rule_of_somebodys_own_may_use_the_same_names_for_something_else(about: dict[str, Any]) -> None:
    steps = books({ASKED[0]["row_id"]: ("quarantined", "odd", about)})
    assert not contradictions(steps, ANSWER, 5, 500).rows
    assert not doubted_labels(steps, 5, 500).rows


def test_addresses_are_not_shown_where_redact_has_not_been() -> None:
    mailed = row("Write to jo.doe@example.com?", "yes")
    steps = [step("ingest", None, Outcome(rows([mailed, *ASKED]), entries("ingest", [])))]
    doubt = ("quarantined", "contradicts", {"partner": ASKED[0]["row_id"], "jaccard": 0.8})
    steps.append(judged("judge", steps[-1], lambda one: doubt if one["row_id"] == mailed["row_id"] else None))
    (pair,) = contradictions(steps, AnswerSettings(), 5, 500).shown
    assert pair.sides[0].prompt == "Write to [not shown]?"
    assert not pair.same
