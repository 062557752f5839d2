"""`better_than_baseline: true`: better than every prompted baseline, by more than the paired interval can explain."""

from __future__ import annotations

from pydantic import Field

from tasks.core.errors import RecipeError
from tasks.core.variants import TUNED
from tasks.evaluation.gate_rules.base import WORST_FIRST, Subject, advice
from tasks.facts.scores import Difference, MetricWords, Scores
from tasks.facts.verdict import JudgedRule, Word
from tasks.metrics.intervals import rows_to_decide, variance_within

MOSTLY = 0.5  # share of answers that were cut


class BetterThanBaseline:
    """Held against each baseline; the worst verdict counts, so no choice of baseline can flatter the model."""

    key = "better_than_baseline"
    example = "better_than_baseline: true"
    field = (bool, Field(default=False))

    def misfit(self, value: bool, metric: MetricWords) -> str:
        return ""

    def text(self, value: bool, metric: MetricWords) -> str:
        return "better than every prompted baseline"

    def judge(self, subject: Subject, value: bool, scores: Scores, text: str) -> JudgedRule:
        prompted = [(name, subject.metric, subject.slice) for name in scores.prompted]
        cells = [d for d in scores.differences if (d.baseline, d.metric, d.slice) in prompted]
        if not cells:
            raise RecipeError(
                f"A gate rule asks for {self.example}, but no baseline was evaluated.",
                where="recipe: gate.rules",
                allowed="at_least, or a baseline to compare with",
                todo="evaluate a baseline, or give the rule a floor",
            )
        sign = -1 if scores.words_of(subject.metric).lower_is_better else 1
        judged = [_against(cell, sign, scores, text) for cell in cells]
        worst = min(judged, key=lambda one: (WORST_FIRST.index(one.verdict), sign * one.low, one.baseline))
        remark = _unheard(scores, [cell.baseline for cell in cells])
        return worst.model_copy(update={"why": f"{worst.why} {remark}".rstrip(), "remark": remark})


def _unheard(scores: Scores, baselines: list[str]) -> str:
    """What must be said of baselines that never came to the end of most answers: to beat them proves nothing."""
    cut = [f"{name} ({scores.cut[name]:.0%})" for name in baselines if scores.cut.get(name, 0.0) > MOSTLY]
    told = "most answers were cut at prompt.max_new_tokens, so being better says little"
    return f"But of {' and '.join(cut)} {told}." if cut else ""


def _against(cell: Difference, sign: int, scores: Scores, text: str) -> JudgedRule:
    """sign: 1 of a metric that is better the higher it is, else -1."""
    worst, best = (cell.low, cell.high) if sign > 0 else (cell.high, cell.low)
    nearer, farther = ("low", "high") if sign > 0 else ("high", "low")
    better, worse = ("above", "below") if sign > 0 else ("below", "above")
    verdict: Word
    if sign * worst > 0:
        verdict, reason = "passed", f"even the {nearer} end is {better} zero"
    elif sign * best < 0:
        verdict, reason = "refused", f"even the {farther} end is {worse} zero"
    else:
        needed = rows_to_decide(cell.difference, 0.0, _variance(cell, scores), scores.confidence)
        for_it = sign * cell.difference > 0
        verdict, reason = "undecided", f"zero lies inside the interval. {advice(needed, cell.n, for_it)}"
    return JudgedRule(
        rule=text,
        metric=cell.metric,
        slice=cell.slice,
        baseline=cell.baseline,
        is_number=cell.is_number,
        required=0.0,
        measured=cell.difference,
        low=cell.low,
        high=cell.high,
        n=cell.n,
        verdict=verdict,
        why=f"{_counted(cell)}{scores.repeats(cell.slice)}, {cell.text(digits=1)}: {reason}",
    )


def _variance(cell: Difference, scores: Scores) -> float:
    """Of one row's difference."""
    if cell.wins is None or cell.losses is None or cell.slice in scores.questions:
        return variance_within(cell.low, cell.high, cell.n, scores.confidence)
    return (cell.wins + cell.losses) / cell.n


def _counted(cell: Difference) -> str:
    if cell.wins is None or cell.losses is None:
        return f"{TUNED} less {cell.baseline}, in the mean of {cell.n:,} rows"
    return (
        f"of {cell.n:,} rows, {cell.wins:,} are right only with {TUNED} and {cell.losses:,} only with {cell.baseline}"
    )


RULE = BetterThanBaseline()
