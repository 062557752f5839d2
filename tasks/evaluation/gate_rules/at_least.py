"""`at_least: 0.9`: a floor for a share of rows, or for the mean of a number that is better the higher it is."""

from __future__ import annotations

from pydantic import Field

from tasks.core.variants import TUNED
from tasks.evaluation.gate_rules.base import Subject, advice
from tasks.facts.scores import MetricWords, Scores
from tasks.facts.verdict import JudgedRule, Word
from tasks.metrics.intervals import rows_to_decide, variance_within


class AtLeast:
    """Of a share the floor is below 1: no number of rows can prove that a model is never wrong."""

    key = "at_least"
    example = "at_least: 0.9 (say)"
    field = (float | None, Field(default=None, allow_inf_nan=False))

    def misfit(self, value: float, metric: MetricWords) -> str:
        if metric.lower_is_better:
            return "a floor is no demand on a metric that is better the lower it is"
        if metric.is_number or 0 < value < 1:
            return ""
        return f"the floor of a share is greater than 0 and less than 1, got {value:g}"

    def text(self, value: float, metric: MetricWords) -> str:
        return f"at least {value:g}" if metric.is_number else f"at least {value * 100:g} %"

    def judge(self, subject: Subject, value: float, scores: Scores, text: str) -> JudgedRule:
        cell = scores.cell(TUNED, subject.slice, subject.metric)
        verdict = _verdict(cell.low, cell.high, value)
        reason = {
            "passed": "even the low end keeps the floor",
            "refused": "even the high end is below the floor",
            "undecided": "the floor lies inside the interval. ",
        }[verdict]
        if verdict == "undecided":
            spread = variance_within(cell.low, cell.high, cell.n, scores.confidence)
            repeats = subject.slice in scores.questions
            variance = spread if cell.is_number or repeats else max(value * (1 - value), cell.value * (1 - cell.value))
            needed = rows_to_decide(cell.value, value, variance, scores.confidence)
            reason += advice(needed, cell.n, cell.value > value)
        counted = f"mean of {cell.n:,} rows" if cell.is_number else f"{cell.right:,} of {cell.n:,} rows right"
        counted += scores.repeats(subject.slice)
        return JudgedRule(
            rule=text,
            metric=subject.metric,
            slice=subject.slice,
            is_number=cell.is_number,
            required=value,
            measured=cell.value,
            low=cell.low,
            high=cell.high,
            n=cell.n,
            verdict=verdict,
            why=f"{counted}, {cell.text(digits=1)}: {reason}",
        )


def _verdict(low: float, high: float, floor: float) -> Word:
    if low >= floor:
        return "passed"
    return "refused" if high < floor else "undecided"


RULE = AtLeast()
