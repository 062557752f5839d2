"""Facts are read as they were written, by models of this version from files of another, and in the bytes they always
had.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.facts import RowFacts
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD
from tasks.facts.dataset import DatasetFacts, StepRows
from tasks.facts.scores import Scores
from tasks.facts.training import Losses, TrainingFacts
from tasks.facts.verdict import Verdict

CELL = {
    "variant": "tuned",
    "slice": "holdout",
    "metric": "intent",
    "right": 9,
    "value": 0.9,
    "low": 0.6,
    "high": 0.98,
    "n": 10,
}
# Fmt: skip.
SCORES = {
    "variants": ["tuned"],
    "best_baseline": "",
    "headline": "intent",
    "confidence": 0.95,
    "metrics": [CELL],
    "differences": [],
}


def left(folder: Path, facts: dict[str, Any], **told: Any) -> Handle:
    """A handle on what a step left."""
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / TOLD).write_text(json.dumps({"line": "nine of ten", "table": [], **told}))
    return Handle(step="step", kind="kind", path=str(folder), digest="0")


def test_facts_are_written_with_the_keys_and_in_the_order_of_the_file_that_is_part_of_a_digest() -> None:
    words = {"title": "intent right", "fault": "wrong intent", "is_number": False, "lower_is_better": False}
    beside = {"cut": {}, "label_metric": "", "champion": None, "questions": {}}
    scores = {**SCORES, "words": {"intent": {**words, "sums_up": False}}, **beside}
    assert json.dumps(Scores.model_validate(scores).written()) == json.dumps(scores)
    step = {"step": "clean", "in": 9, "kept": 7, "dropped": 2, "quarantined": 0, "changed": 3}
    assert json.dumps(StepRows.model_validate(step).written()) == json.dumps(step)
    assert json.dumps(RowFacts(came=9, kept=7).written()) == '{"in": 9, "kept": 7, "counts": {}}'
    history = TrainingFacts(history=[Losses(step=1, loss=0.5), Losses(step=1, eval_loss=0.25)])
    assert history.written()["history"] == [{"step": 1, "loss": 0.5}, {"step": 1, "eval_loss": 0.25}]


def test_a_handle_gives_its_facts_by_kind_and_its_line(tmp_path: Path) -> None:
    handle = left(tmp_path, SCORES)
    scores = Scores.of(handle)
    assert scores.cell("tuned", "holdout", "intent").right == 9
    assert scores.find("few_shot", "holdout", "intent") is None
    with pytest.raises(KeyError, match="intent of few_shot on holdout was not measured"):
        scores.cell("few_shot", "holdout", "intent")
    assert handle.line == "nine of ten"


def test_keys_of_a_newer_version_are_ignored_and_those_an_older_one_lacked_have_their_default(tmp_path: Path) -> None:
    facts = {"raw": 9, "kept": 7, "dropped": 2, "quarantined": 0, "moved": 1}
    found = DatasetFacts.of(left(tmp_path, facts))
    assert (found.totals, found.steps) == ({"raw": 9, "kept": 7, "dropped": 2, "quarantined": 0}, [])


def test_a_result_of_another_kind_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="verdict"):
        Verdict.of(left(tmp_path, SCORES))


def test_facts_stay_as_they_were_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Scores.model_validate(SCORES).headline = "exact"  # type: ignore[misc]
