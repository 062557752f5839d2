"""The gate: a verdict reads the whole interval, says what it rests on, and lets nothing through that it cannot tell."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.errors import RecipeError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, digest_path
from tasks.core.process.progress import Progress
from tasks.core.settings import MisfitError
from tasks.core.work import StepDirs, StepResult
from tasks.evaluation.gate import GateSettings, Rule, check_rules, gate
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.intervals import paired_difference, rate

LEVEL = 0.95


def measured(right: int, n: int, *, slice: str = "holdout", variant: str = "tuned") -> dict[str, Any]:
    got = rate(right, n, LEVEL)
    return {
        "variant": variant,
        "slice": slice,
        "metric": "intent",
        "right": right,
        "n": n,
        "value": got.value,
        "low": got.low,
        "high": got.high,
    }


def against(baseline: str, wins: int, losses: int, n: int = 156) -> dict[str, Any]:
    got = paired_difference(wins, losses, n, LEVEL)
    return {
        "baseline": baseline,
        "slice": "holdout",
        "metric": "intent",
        "wins": wins,
        "losses": losses,
        "n": n,
        "difference": got.value,
        "low": got.low,
        "high": got.high,
    }


def judge(
    home: Path,
    rules: list[Rule],
    metrics: list[dict[str, Any]],
    differences: list[dict[str, Any]],
    cut: dict[str, float] | None = None,
) -> StepResult:
    folder = home / "artifacts" / uuid4().hex
    folder.mkdir(parents=True)
    variants = [*dict.fromkeys(d["baseline"] for d in differences), "tuned"]
    facts = {
        "variants": variants,
        "best_baseline": "",
        "headline": "intent",
        "confidence": LEVEL,
        "metrics": metrics,
        "differences": differences,
        "cut": cut or {},
    }
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / TOLD).write_text("{}")
    scores = Handle.of(folder, step="evaluate", kind="scores", digest=digest_path(folder))
    return gate(StepDirs(folder, home, Progress("gate")), settings=GateSettings(rules=tuple(rules)), scores=scores)


def floor(at_least: float, **where: str) -> Rule:
    return Rule(**{"metric": "intent", **where}, at_least=at_least)


BETTER = Rule(metric="intent", better_than_baseline=True)


@pytest.mark.parametrize(
    ("right", "n", "at_least", "verdict"),
    [
        (156, 156, 0.95, "passed"),
        (154, 156, 0.95, "passed"),
        (153, 156, 0.95, "undecided"),
        (35, 35, 0.95, "undecided"),  # all right, and still too few rows for so high a floor
        (27, 35, 0.6, "passed"),
        (26, 35, 0.6, "undecided"),
        (14, 35, 0.6, "refused"),
        (0, 35, 0.6, "refused"),
    ],
)
def test_a_floor_is_held_against_the_whole_interval(
    home: Path, right: int, n: int, at_least: float, verdict: str
) -> None:
    assert judge(home, [floor(at_least)], [measured(right, n)], []).facts["verdict"] == verdict


def test_an_undecided_floor_says_how_many_more_rows_would_decide_it_and_they_do(home: Path) -> None:
    why = judge(home, [floor(0.6)], [measured(26, 35)], []).facts["rules"][0]["why"]
    assert why.startswith("26 of 35 rows right, 74.3 % [57.9,")
    more = int(why.split("About ")[1].split(" ")[0])
    enough = measured(math.ceil(26 / 35 * (35 + more)), 35 + more)
    assert judge(home, [floor(0.6)], [enough], []).facts["verdict"] == "passed"


def test_what_lies_on_the_floor_is_not_promised_a_decision(home: Path) -> None:
    rule = judge(home, [floor(0.6)], [measured(21, 35)], []).facts["rules"][0]
    assert rule["verdict"] == "undecided"
    assert "more rows alone would not decide it" in rule["why"]


def test_what_lies_just_under_the_floor_is_told_that_rows_would_decide_against_it(home: Path) -> None:
    assert "against the model" in judge(home, [floor(0.6)], [measured(19, 35)], []).facts["rules"][0]["why"]


@pytest.mark.parametrize(
    ("wins", "losses", "verdict"),
    [(83, 2, "passed"), (0, 0, "undecided"), (10, 4, "undecided"), (4, 10, "undecided"), (2, 83, "refused")],
)
def test_better_than_a_baseline_means_by_more_than_the_paired_interval(
    home: Path, wins: int, losses: int, verdict: str
) -> None:
    made = judge(home, [BETTER], [measured(100, 156)], [against("few_shot", wins, losses)])
    assert made.facts["verdict"] == verdict


def test_the_model_must_beat_every_baseline_and_the_one_it_does_not_is_named(home: Path) -> None:
    made = judge(home, [BETTER], [measured(100, 156)], [against("zero_shot", 83, 2), against("few_shot", 10, 4)])
    rule = made.facts["rules"][0]
    assert (rule["verdict"], rule["baseline"]) == ("undecided", "few_shot")
    assert "10 are right only with tuned and 4 only with few_shot" in rule["why"]


def test_to_beat_a_baseline_whose_answers_were_cut_is_remarked_upon(home: Path) -> None:
    cells, metrics = [against("zero_shot", 83, 2), against("few_shot", 80, 2)], [measured(100, 156)]
    rule = judge(home, [BETTER], metrics, cells, {"zero_shot": 0.9, "few_shot": 0.1}).facts["rules"][0]
    assert rule["verdict"] == "passed"
    assert rule["remark"] == (
        "But of zero_shot (90%) most answers were cut at prompt.max_new_tokens, so being better says little."
    )
    assert rule["why"].endswith(rule["remark"])
    assert judge(home, [BETTER], metrics, cells, {"zero_shot": 0.5}).facts["rules"][0]["remark"] == ""


def test_the_worst_rule_decides_the_whole(home: Path) -> None:
    metrics = [measured(150, 156), measured(26, 35, slice="short"), measured(3, 35, slice="long")]
    good, unclear, bad = floor(0.8), floor(0.6, slice="short"), floor(0.6, slice="long")
    assert judge(home, [good], metrics, []).facts["verdict"] == "passed"
    assert judge(home, [good, unclear], metrics, []).facts["verdict"] == "undecided"
    made = judge(home, [good, unclear, bad], metrics, [])
    assert made.facts["verdict"] == "refused"
    assert made.line == "refused: 1 of 3 rules hold; nothing is registered"
    assert [row["verdict"] for row in made.table] == ["passed", "undecided", "refused"]


def test_only_the_tuned_model_is_judged(home: Path) -> None:
    metrics = [measured(156, 156, variant="few_shot"), measured(10, 156)]
    assert judge(home, [floor(0.8)], metrics, []).facts["verdict"] == "refused"


def test_a_rule_on_what_is_not_measured_is_an_error_that_names_what_is(home: Path) -> None:
    with pytest.raises(RecipeError, match="metric 'intnt'") as caught:
        judge(home, [floor(0.8), floor(0.8, metric="intnt")], [measured(9, 10)], [])
    assert "gate.rules.1.metric" in str(caught.value)
    assert "did you mean 'intent'?" in str(caught.value)
    with pytest.raises(RecipeError, match="slice 'shrt'"):
        check_rules(GateSettings(rules=(floor(0.8, slice="shrt"),)), {"holdout": ["intent"], "short": ["intent"]})


def test_better_than_a_baseline_needs_a_baseline(home: Path) -> None:
    with pytest.raises(RecipeError, match="no baseline was evaluated"):
        judge(home, [BETTER], [measured(9, 10)], [])


@pytest.mark.parametrize("wrong", [{}, {"at_least": 0.9, "better_than_baseline": True}])
def test_a_rule_asks_exactly_one_thing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give either at_least"):
        Rule(metric="intent", **wrong)


@pytest.mark.parametrize("share", [0, 1, 95, -0.5])
def test_a_floor_is_a_share_that_rows_can_prove(share: float) -> None:
    recipe = SimpleNamespace(answer=AnswerSettings())
    with pytest.raises(MisfitError, match="greater than 0 and less than 1") as caught:
        GateSettings(rules=(floor(share, metric="exact"),)).fitted(recipe, Path())
    assert caught.value.location == ("rules", 0, "at_least")
    with pytest.raises(ValidationError, match="finite"):
        floor(math.inf)


def test_there_is_no_gate_without_rules() -> None:
    for empty in ({}, {"rules": ()}):
        with pytest.raises(ValidationError, match="rules"):
            GateSettings.model_validate(empty)


COUNTS = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
FLOORS = st.floats(0.01, 0.99)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COUNTS, FLOORS, FLOORS)
def test_a_higher_floor_never_makes_the_verdict_kinder(
    home: Path, counts: tuple[int, int], one: float, two: float
) -> None:
    kind = ["refused", "undecided", "passed"]
    lower, higher = sorted((one, two))
    verdicts = [judge(home, [floor(f)], [measured(*counts)], []).facts["verdict"] for f in (lower, higher)]
    assert kind.index(verdicts[0]) >= kind.index(verdicts[1])
    assert verdicts[0] != "passed" or counts[0] / counts[1] >= lower
