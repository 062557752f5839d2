"""`not_worse_than_champion: 0.02`: measured on the same rows, at most so much below the champion of today.

The one rule that looks at the measured difference beside its interval, since it holds for every recipe. To ask that
even the low end keeps a small margin would lock out all who hold out a hundred rows: there, a model as good as the
champion is known to within five points. So what is measured must keep the margin. What does not is refused where the
whole interval is worse than the champion, and undecided where the loss may be chance. Where the rows cannot exclude a
loss beyond the margin, a rule that holds says so.
"""

from __future__ import annotations

from pydantic import Field

from tasks.core.variants import CHAMPION, TUNED
from tasks.evaluation.gate_rules.base import Subject, advice
from tasks.facts.scores import Difference, MetricWords, Scores
from tasks.facts.verdict import JudgedRule, Word
from tasks.metrics.intervals import rows_to_decide, variance_within

ROUNDING = 1e-9  # 3 of 150 rows are two points, whatever their floating sum says
UNASKED = "to go on without it, set gate.not_worse_than_champion to null in the recipe"


class NotWorseThanChampion:
    """The value is the margin: of a share a share (0.02: two points), of a number in the metric's own unit."""

    key = "not_worse_than_champion"
    example = "not_worse_than_champion: 0.02 (say)"
    field = (float | None, Field(default=None, ge=0, allow_inf_nan=False))

    def misfit(self, value: float, metric: MetricWords) -> str:
        if metric.is_number or value < 1:
            return ""
        return f"the margin of a share is less than 1, got {value:g}"

    def text(self, value: float, metric: MetricWords) -> str:
        margin = f"{value:g}" if metric.is_number else f"{100 * value:g} points"
        return f"not worse than the champion by more than {margin}"

    def judge(self, subject: Subject, value: float, scores: Scores, text: str) -> JudgedRule:
        cell = scores.against(CHAMPION, subject.slice, subject.metric)
        if cell is None:
            return _not_compared(subject, scores, text)
        sign = -1 if scores.words_of(subject.metric).lower_is_better else 1
        worst, best = sorted((sign * cell.low, sign * cell.high))
        measured, verdict = sign * cell.difference, _verdict(sign * cell.difference, best, value)
        reason, remark = _reason(verdict, cell, measured, scores), ""
        if verdict == "passed" and worst < -value:
            remark = f"These {cell.n:,} rows cannot exclude that it is worse than the champion by more than the margin."
        return JudgedRule(
            rule=text,
            metric=subject.metric,
            slice=subject.slice,
            baseline=CHAMPION,
            is_number=cell.is_number,
            required=-sign * value,
            measured=cell.difference,
            low=cell.low,
            high=cell.high,
            n=cell.n,
            verdict=verdict,
            why=f"{_counted(cell)}, {cell.text(digits=1)}: {reason} {remark}".rstrip(),
            remark=remark,
        )


def _verdict(measured: float, best: float, margin: float) -> Word:
    """measured, best: by how much the model is better, as measured and at the better end of the interval."""
    if measured >= -margin - ROUNDING:
        return "passed"
    return "refused" if best < 0 else "undecided"


def _reason(verdict: Word, cell: Difference, measured: float, scores: Scores) -> str:
    if verdict == "refused":
        return "it is worse by more than the margin, and even the better end is worse."
    if verdict == "passed":
        return "what was measured keeps the margin."
    spread = variance_within(cell.low, cell.high, cell.n, scores.confidence)
    needed = rows_to_decide(measured, 0.0, spread, scores.confidence)
    return f"it is measured worse by more than the margin, which may be chance. {advice(needed, cell.n, False)}."


def _counted(cell: Difference) -> str:
    if cell.wins is None or cell.losses is None:
        return f"{TUNED} less the champion, in the mean of {cell.n:,} rows"
    only = f"{cell.wins:,} are right only with {TUNED} and {cell.losses:,} only with the champion"
    return f"of {cell.n:,} rows, {only}"


def _not_compared(subject: Subject, scores: Scores, text: str) -> JudgedRule:
    """Without a champion nothing can be worse than it; of one that could not be asked nothing is known."""
    verdict: Word = "undecided" if scores.champion else "passed"
    why = "there is no champion yet"
    if scores.champion:
        reason = scores.champion.unasked or f"it has no {subject.metric} on {subject.slice}"
        why = f"the champion, {scores.champion.title}, could not be asked: {reason}. Mend that, or {UNASKED}"
    return JudgedRule(
        rule=text,
        metric=subject.metric,
        slice=subject.slice,
        baseline=CHAMPION,
        required=0.0,
        measured=0.0,
        low=0.0,
        high=0.0,
        n=0,
        verdict=verdict,
        why=why,
    )


RULE = NotWorseThanChampion()
