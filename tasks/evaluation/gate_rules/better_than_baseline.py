"""`better_than_baseline: true`: better than every prompted baseline, by more than the paired interval can explain."""

from __future__ import annotations

from pydantic import Field

from tasks.core.errors import RecipeError
from tasks.core.text.interval_text import percent
from tasks.core.variants import TUNED
from tasks.evaluation.gate_rules.base import WORST_FIRST, Subject, advice
from tasks.facts.scores import Difference, Scores
from tasks.facts.verdict import JudgedRule, Word
from tasks.metrics.intervals import rows_to_decide


class BetterThanBaseline:
    """Held against each baseline; the worst verdict counts, so no choice of baseline can flatter the model."""

    key = "better_than_baseline"
    example = "better_than_baseline: true"
    field = (bool, Field(default=False))

    def text(self, value: bool) -> str:
        return "better than every prompted baseline"

    def judge(self, subject: Subject, value: bool, scores: Scores, text: str) -> JudgedRule:
        cells = [d for d in scores.differences if (d.metric, d.slice) == (subject.metric, subject.slice)]
        if not cells:
            raise RecipeError(
                f"A gate rule asks for {self.example}, but no baseline was evaluated.",
                where="recipe: gate.rules",
                allowed="at_least, or a baseline to compare with",
                todo="evaluate a baseline, or give the rule a floor",
            )
        judged = [_against(cell, scores.confidence, text) for cell in cells]
        return min(judged, key=lambda one: (WORST_FIRST.index(one.verdict), one.low, one.baseline))


def _against(cell: Difference, confidence: float, text: str) -> JudgedRule:
    difference = cell.difference
    verdict: Word
    if cell.low > 0:
        verdict, reason = "passed", "even the low end is above zero"
    elif cell.high < 0:
        verdict, reason = "refused", "even the high end is below zero"
    else:
        needed = rows_to_decide(difference, 0.0, (cell.wins + cell.losses) / cell.n, confidence)
        verdict, reason = "undecided", f"zero lies inside the interval. {advice(needed, cell.n, difference > 0)}"
    told = percent(difference, cell.low, cell.high, digits=1, sign="+")
    why = (
        f"of {cell.n:,} rows, {cell.wins:,} are right only with {TUNED} and {cell.losses:,} only with {cell.baseline}, "
        f"{told}: {reason}"
    )
    return JudgedRule(
        rule=text,
        metric=cell.metric,
        slice=cell.slice,
        baseline=cell.baseline,
        required=0.0,
        measured=difference,
        low=cell.low,
        high=cell.high,
        n=cell.n,
        verdict=verdict,
        why=why,
    )


RULE = BetterThanBaseline()
