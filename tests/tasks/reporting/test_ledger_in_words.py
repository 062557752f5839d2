"""Evidence in words: every step's own, and nothing left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.ledger_in_words import in_words, rows_named

A, B = "a" * 64, "b" * 64
REVIEWED = {
    "reviewer": "Ada",
    "at": "2026-11-24T10:00:00Z",
    "asked": "conflicts",
    "was": "contradicts another row",
    "note": "ok",
}
LABELS = [{"label": "x", "votes": 3}, {"label": "y", "votes": 1}]
JUDGED = {"given": "a", "suggested": "b", "self_confidence": 0.06, "confidence": 0.9, "lift": 0.2, "rank": 2, "of": 9}


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({"kept": A, "of": "prompt", "jaccard": 0.9}, "prompt alike, Jaccard 0.90"),
        ({"kept": A, "of": "row", "jaccard": 1.0}, "row the same"),
        ({"kept": A, "of": "answer", "cosine": 0.97}, "answer alike, Cosine 0.97"),
        (
            {"partner": A, "jaccard": 1.0, "label": "y", "labels": LABELS},
            "it says 'y'; votes of the rows that ask the same: 'x' 3, 'y' 1; prompt the same",
        ),
        (
            JUDGED,
            "labelled 'a': 6% likely for its text, 0.20 times as likely as for any text; 'b': 90%; "
            "suspect 2 of 9, the surest first",
        ),
        ({"match": A, "source": "holdout.jsonl", "line": 3}, "holdout.jsonl, line 3"),
        (
            {"match": A, "of": "answer", "in": "answer", "coverage": 0.8, "shared": 12},
            "its answer has 80% of the word sequences of that answer, 12 of them",
        ),
        (
            {"rows": 90, "places": 50, "budget": 600, "label": "a", "kept": A, "similarity": 0.8},
            "50 of 90 rows of label 'a' fit into the budget of 600; similarity 0.80",
        ),
        ({"email": 2, "phone": 1}, "2 email, 1 phone"),
        ({"name": "Ada"}, "name: Ada"),
        ({"rules": ["HTML", "blanks"]}, "HTML, blanks"),
        ({"message": 2, "rule": "intent: missing"}, "intent: missing; message 2"),
        (REVIEWED, "Ada, 2026-11-24, asked by conflicts because of: contradicts another row; note: ok"),
        (
            {**REVIEWED, "found": {"jaccard": 1.0}},
            "Ada, 2026-11-24, asked by conflicts because of: contradicts another row (prompt the same); note: ok",
        ),
        ({"message": 2, "characters": ["U+0007"]}, "message 2; characters: U+0007"),
        (
            {"label": "x", "labels": ["x", "y"], "cosine": "high", "of": ["p"]},
            "label: x; labels: x, y; cosine: high; of: p",
        ),  # a rule of somebody's own, which means other things by these names
        ({}, ""),
    ],
)
def test_each_steps_evidence_is_a_sentence(evidence: dict[str, Any], told: str) -> None:
    assert in_words(evidence) == told


def test_rows_are_named_by_what_they_are_to_this_one() -> None:
    assert rows_named({"kept": B, "jaccard": 1, "odd_one": A}) == {A: "odd one", B: "the row kept for it"}


@given(st.dictionaries(st.from_regex(r"z[a-z]{2,8}", fullmatch=True), st.integers(10, 10**6), max_size=5))
def test_what_nobody_explained_is_shown_as_it_is(evidence: dict[str, int]) -> None:
    told = in_words({**evidence, "email": 1})
    assert all(f"{name}: {value}" in told for name, value in evidence.items())
