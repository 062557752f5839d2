"""Measured values on a page: shares in percent, differences of shares in points, numbers in their own unit."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.facts.scores import Difference, Measured, MetricWords
from tasks.facts.verdict import JudgedRule
from tasks.reporting import measured_text

WHERE: dict[str, Any] = {"slice": "holdout", "metric": "m", "n": 100}
SHARE = Measured(variant="tuned", right=94, value=0.942, low=0.891, high=0.978, **WHERE)
NUMBER = Measured(variant="tuned", value=-1.031, low=-1.08, high=-0.982, **WHERE)
GAIN = Difference(baseline="few_shot", wins=60, losses=8, difference=0.519, low=0.434, high=0.599, **WHERE)
MORE = Difference(baseline="few_shot", difference=0.21, low=0.15, high=0.27, **WHERE)


def rule(cell: Measured | Difference, required: float = 0.0) -> JudgedRule:
    measured = cell.value if isinstance(cell, Measured) else cell.difference
    baseline = "" if isinstance(cell, Measured) else cell.baseline
    told = {"rule": "r", "verdict": "passed", "why": "", "required": required, "baseline": baseline}
    return JudgedRule(**told, is_number=cell.is_number, measured=measured, low=cell.low, high=cell.high, **WHERE)


def test_a_value_and_its_span_are_told_in_their_unit() -> None:
    assert (measured_text.value(SHARE), measured_text.span(SHARE)) == ("94.2\u00a0%", "[89.1, 97.8]")
    assert (measured_text.value(NUMBER), measured_text.span(NUMBER)) == ("−1.031", "[−1.080, −0.982]")
    assert (measured_text.gain(GAIN), measured_text.span(GAIN)) == ("+51.9 points", "[+43.4, +59.9]")
    assert (measured_text.gain(MORE), measured_text.span(MORE)) == ("+0.21", "[+0.15, +0.27]")


@pytest.mark.parametrize(
    ("judged", "required", "measured"),
    [
        (rule(SHARE, 0.9), "90.0\u00a0%", "94.2\u00a0%"),
        (rule(NUMBER, -1.5), "−1.5", "−1.031"),
        (rule(GAIN), "above 0", "+51.9 points"),
        (rule(MORE), "better", "+0.21"),
    ],
)
def test_a_rule_is_told_with_what_it_asks_and_what_was_measured(
    judged: JudgedRule, required: str, measured: str
) -> None:
    assert (measured_text.required(judged), measured_text.measured(judged)) == (required, measured)
    assert "whisker" in measured_text.gauge(judged, "rule")


def test_what_a_difference_says_depends_on_what_is_better() -> None:
    assert measured_text.outcome(MORE, MetricWords(title="m")) == "better"
    assert measured_text.outcome(MORE, MetricWords(title="m", lower_is_better=True)) == "worse"
    tied = MORE.model_copy(update={"low": -0.1})
    assert measured_text.outcome(tied, MetricWords(title="m")).startswith("neither")


def test_shares_are_drawn_from_nothing_to_all_and_numbers_between_their_ends() -> None:
    assert measured_text.scale_of([SHARE]) == (0, 1)
    low, high = measured_text.scale_of([NUMBER, NUMBER.model_copy(update={"high": 3.0})])
    assert low < -1.08
    assert high > 3
    flat = NUMBER.model_copy(update={"low": 2.0, "high": 2.0, "value": 2.0})
    assert measured_text.scale_of([flat]) == (1.0, 3.0)
    svg = measured_text.strip([("base", None), ("tuned", NUMBER)], "m", (-2.0, 0.0))
    assert svg.count("<circle") == 1
    assert "grid" not in svg  # whose header is that of shares
    assert "grid" in measured_text.strip([("tuned", SHARE)], "m", (0.0, 1.0))
