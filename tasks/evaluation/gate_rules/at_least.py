"""`at_least: 0.9`: a floor for a share of rows."""

from __future__ import annotations

from pydantic import Field

from tasks.core.text.interval_text import percent
from tasks.core.variants import TUNED
from tasks.evaluation.gate_rules.base import Subject, advice
from tasks.facts.scores import Scores
from tasks.facts.verdict import JudgedRule, Word
from tasks.metrics.intervals import rows_to_decide


class AtLeast:
    """The floor is a share. 1 is not allowed: no number of rows can prove that a model is never wrong."""

    key = "at_least"
    example = "at_least: 0.9 (say)"
    field = (float | None, Field(default=None, gt=0, lt=1))

    def text(self, value: float) -> str:
        return f"at least {value * 100:g} %"

    def judge(self, subject: Subject, value: float, scores: Scores, text: str) -> JudgedRule:
        cell = scores.cell(TUNED, subject.slice, subject.metric)
        share, verdict = cell.value, _verdict(cell.low, cell.high, value)
        reason = {
            "passed": "even the low end keeps the floor",
            "refused": "even the high end is below the floor",
            "undecided": "the floor lies inside the interval. ",
        }[verdict]
        if verdict == "undecided":
            needed = rows_to_decide(share, value, max(value * (1 - value), share * (1 - share)), scores.confidence)
            reason += advice(needed, cell.n, share > value)
        told = percent(share, cell.low, cell.high, digits=1)
        return JudgedRule(
            rule=text,
            metric=subject.metric,
            slice=subject.slice,
            required=value,
            measured=share,
            low=cell.low,
            high=cell.high,
            n=cell.n,
            verdict=verdict,
            why=f"{cell.right:,} of {cell.n:,} rows right, {told}: {reason}",
        )


def _verdict(low: float, high: float, floor: float) -> Word:
    if low >= floor:
        return "passed"
    return "refused" if high < floor else "undecided"


RULE = AtLeast()
