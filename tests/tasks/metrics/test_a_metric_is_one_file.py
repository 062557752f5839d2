"""A metric is one file and one line in the catalog: counting, the gate, the report, the registry and the command's last
words take it by what it says of itself, also one of numbers.
"""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from flows.cli import summary
from tasks.core.errors import RecipeError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, digest_path
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.settings import MisfitError
from tasks.core.work import StepDirs, StepResult
from tasks.evaluation import report
from tasks.evaluation.evaluate import EvaluateSettings, evaluate, measured_in
from tasks.evaluation.gate import GateSettings, check_rules, gate
from tasks.facts.scores import Scores
from tasks.facts.verdict import Verdict
from tasks.metrics import catalog
from tasks.metrics.answer_schema import AnswerSettings
from tasks.registry import evidence

NUMBERS = '''
"""How long an answer is beside its reference, and how many words it has too many."""

from tasks.metrics.base import Metric, wants_text


def ratio(reference, given):
    return len(given.text) / len(reference.answer.text)


def excess(reference, given):
    return max(0, len(given.text.split()) - len(reference.answer.text.split()))


def metrics(answer):
    return (
        Metric("length_ratio", "length beside the reference", wants_text, ratio, is_number=True, headline=9),
        Metric("excess_words", "words too many", wants_text, excess, is_number=True, lower_is_better=True),
    )
'''
POLITE = '''
"""The answer thanks."""

from tasks.metrics.base import Metric, wants_text


def metrics(answer):
    thanks = lambda reference, given: "thank" in given.text.lower()
    return (Metric("polite", "a word of thanks", wants_text, thanks, fault="no word of thanks"),)
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files written just now, listed first."""
    made = []
    for name, text in (("numbers_of_a_test", NUMBERS), ("polite_of_a_test", POLITE)):
        (tmp_path / name).write_text(text)
        made.append(runpy.run_path(str(tmp_path / name))["metrics"])
    monkeypatch.setattr(catalog, "METRICS", (*made, *catalog.METRICS))


REFERENCE = "Thank you, it is on its way."
TUNED, BASE = "Thank you, it is on its way!", "On its way, I would think, since nothing else is known to me here."


def rows(n: int, slice: str = "") -> pl.DataFrame:
    found = [
        {
            "row_id": f"{slice}{i:03}",
            "source": "holdout.jsonl",
            "line": i,
            "messages": [
                {"role": "user", "content": f"Where is {slice}{i}?"},
                {"role": "assistant", "content": REFERENCE},
            ],
            "meta": json.dumps({"slice": slice} if slice else {}),
        }
        for i in range(n)
    ]
    return pl.DataFrame(found, schema=ROW_SCHEMA)


def kept(home: Path, frame: pl.DataFrame, file: str, facts: dict[str, Any]) -> Handle:
    folder = home / "artifacts" / "made" / uuid4().hex
    folder.mkdir(parents=True)
    frame.write_parquet(folder / file)
    return told(home, folder, facts, frame.height)


def told(home: Path, folder: Path, facts: dict[str, Any], n: int = 0) -> Handle:
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / TOLD).write_text("{}")
    return Handle.of(folder, step="made", kind="made", digest=digest_path(folder), rows=n)


def answers(home: Path, variant: str, holdout: pl.DataFrame, text: str) -> Handle:
    frame = holdout.select("row_id", set=pl.lit("holdout"), calls=pl.lit(None, pl.String)).with_columns(
        answer=pl.Series([text + " Well." * (i % 3) for i in range(holdout.height)])
    )
    return kept(home, frame, "predictions.parquet", {"variant": variant})


def dirs(home: Path) -> StepDirs:
    out = home / "artifacts" / "made" / uuid4().hex
    out.mkdir(parents=True)
    return StepDirs(out, home, Progress("made"))


@pytest.fixture
def evaluated(added: None, home: Path) -> tuple[StepResult, Handle]:
    holdout = pl.concat([rows(30), rows(1, "rare")])
    at = dirs(home)
    made = evaluate(
        at,
        settings=EvaluateSettings(),
        answer=AnswerSettings(),
        holdout=kept(home, holdout, "rows.parquet", {}),
        predictions=[answers(home, "zero_shot", holdout, BASE), answers(home, "tuned", holdout, TUNED)],
    )
    return made, told(home, at.out, made.facts, made.rows)


def test_it_is_counted_with_intervals_by_its_type(evaluated: tuple[StepResult, Handle]) -> None:
    made, handle = evaluated
    graded = handle.frame("graded.parquet")
    assert graded.schema["length_ratio"] == graded.schema["excess_words"] == pl.Float64
    assert graded.schema["polite"] == pl.Boolean
    scores = Scores.of(handle)
    assert scores.headline == "length_ratio"
    ratio, polite = (scores.cell("tuned", "holdout", name) for name in ("length_ratio", "polite"))
    mean = graded.filter(variant="tuned")["length_ratio"].mean()
    assert (ratio.right, ratio.n) == (None, 31)
    assert ratio.value == pytest.approx(mean)
    assert 1 < ratio.low < ratio.value < ratio.high < 1.4
    assert (polite.right, polite.value) == (31, 1.0)
    (gain,) = (d for d in scores.differences if (d.metric, d.slice) == ("excess_words", "holdout"))
    assert (gain.wins, gain.losses) == (None, None)
    assert gain.high == gain.low == gain.difference == -7  # each row's own words are paired away
    assert re.fullmatch(r"length_ratio 1\.2\d [^%]*\] tuned against 2\.5\d [^%]*\] zero_shot on 31 rows", made.line)
    assert made.table[0]["tuned - zero_shot"].startswith("-1.")


def test_one_number_alone_has_no_interval_and_is_not_counted(evaluated: tuple[StepResult, Handle]) -> None:
    scores = Scores.of(evaluated[1])
    assert scores.find("tuned", "rare", "length_ratio") is None
    assert scores.find("tuned", "rare", "polite") is not None
    holdout = pl.concat([rows(30), rows(1, "rare")])
    assert measured_in({"holdout": holdout}, AnswerSettings())["rare"] == ("polite", "exact")


def test_the_gate_asks_of_it_what_its_type_allows(evaluated: tuple[StepResult, Handle], home: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"metric": "length_ratio", "at_least": 1.1},
        {"metric": "length_ratio", "at_least": 1.21},
        {"metric": "length_ratio", "better_than_baseline": True},
        {"metric": "excess_words", "better_than_baseline": True},
        {"metric": "polite", "at_least": 0.8},
    ]
    settings = GateSettings.model_validate({"rules": rules})
    recipe = SimpleNamespace(answer=AnswerSettings())
    assert settings.fitted(recipe, home) is settings
    judged = Verdict.model_validate(gate(dirs(home), settings=settings, scores=evaluated[1]).facts).rules
    assert [rule.verdict for rule in judged] == ["passed", "undecided", "refused", "passed", "passed"]
    assert judged[0].rule == "length_ratio on holdout: at least 1.1"
    assert re.search(r"mean of 31 rows, 1\.2\d \[.*more rows like these would decide it", judged[1].why)
    assert judged[3].why == (
        "tuned less zero_shot, in the mean of 31 rows, -7.000 [-7.000, -7.000]: even the high end is below zero"
    )
    for wrong, why in (
        ({"metric": "excess_words", "at_least": 1.0}, "lower"),
        ({"metric": "polite", "at_least": 2}, "share"),
    ):
        with pytest.raises(MisfitError, match=why):
            GateSettings.model_validate({"rules": [wrong]}).fitted(recipe, home)
    rare = GateSettings.model_validate({"rules": [{"metric": "length_ratio", "slice": "rare", "at_least": 1.0}]})
    with pytest.raises(RecipeError, match="not measured on rare"):
        check_rules(rare, {"rare": ["polite", "exact"]})


def test_report_terminal_and_registry_show_it_with_its_own_words(
    evaluated: tuple[StepResult, Handle], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = Scores.of(evaluated[1])
    settings = GateSettings.model_validate({"rules": [{"metric": "length_ratio", "at_least": 1.1}]})
    verdict = Verdict.model_validate(gate(dirs(home), settings=settings, scores=evaluated[1]).facts)
    told = report.summary(scores, verdict, None)
    assert re.fullmatch(
        r"The tuned model's length beside the reference is 1\.2\d+ in the mean of 31 holdout rows; "
        r"that of the same base model, prompted, 2\.\d+\.",
        told.sentence,
    )
    assert [row.title for row in told.rows] == [
        "length beside the reference",
        "words too many",
        "a word of thanks",
        "exact match",
    ]
    summary._scores(scores)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "length_ratio" in line)
    assert re.search(r"length_ratio +2\.\d+ \[[\d., ]+\] zero_shot +1\.2\d+ \[[\d., ]+\] +-1\.\d+ \[", line)
    logged = dict(evidence._measured(scores))
    assert logged["holdout/length_ratio.tuned"] == scores.cell("tuned", "holdout", "length_ratio").value
    assert logged["holdout/excess_words.gain_over_zero_shot"] == -7
    assert evidence.headline_text(scores).startswith("length_ratio 1.2")


def test_a_number_that_is_none_is_refused_with_its_metric(added: None) -> None:
    reference = catalog.Reference.of(rows(1).row(0, named=True))
    broken = next(m for m in catalog.metrics_of(AnswerSettings()) if m.name == "length_ratio")
    nothing = type(broken)("nan_of_a_test", "nothing", broken.applies, lambda *_: float("nan"), is_number=True)
    with pytest.raises(ValueError, match="nan_of_a_test scored an answer nan"):
        nothing.of(reference, reference.answer)
