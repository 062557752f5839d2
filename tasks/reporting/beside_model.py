"""What stands beside a tuned model, in sentences: the champion that it would replace, and what needs no language model.

The report, the terminal and the page of the run say the same.
"""

from __future__ import annotations

from tasks.core.variants import CHAMPION, LOGISTIC, MAJORITY, TUNED
from tasks.facts.scores import Difference, Scores

WAYS: dict[str, str] = {
    LOGISTIC: "A classifier of words (TF-IDF and logistic regression) that learnt from the same rows gets",
    MAJORITY: "Always giving the commonest answer gets",
}


def champion_sentence(scores: Scores) -> str:
    """How the champion does on the same rows; empty without one."""
    champion, metric = scores.champion, scores.headline
    if champion is None:
        return ""
    title = f"The champion, {champion.title},"
    difference, its = scores.against(CHAMPION, "holdout", metric), scores.find(CHAMPION, "holdout", metric)
    if difference is None or its is None:
        return f"{title} could not be asked: {champion.unasked or 'it gave no answers'}."
    words, on = scores.words_of(metric).title, f"of the same {its.n:,} rows"
    told = f"{title} has {words} {its.text(digits=1)} in the mean {on}"
    if not its.is_number:
        told = f"{title} gets {words} on {its.text(digits=1)} {on}"
    return f"{told}; the tuned model differs by {difference.text(digits=1)}{_only(difference)}."


def _only(difference: Difference) -> str:
    if difference.wins is None:
        return ""
    return f" ({difference.wins:,} right only with the tuned model, {difference.losses:,} only with the champion)"


def without_model(scores: Scores) -> str:
    """What must be said where the tuned model is no better than what needs no language model; else empty."""
    metric, slice = scores.label_metric, "holdout"
    tied = [d for d in scores.differences if (d.metric, d.slice) == (metric, slice) and d.low <= 0]
    best = scores.best(slice, metric, [d.baseline for d in tied if d.baseline in WAYS])
    if best is None:
        return ""
    difference = scores.against(best.variant, slice, metric)
    assert difference is not None
    own, title = scores.cell(TUNED, slice, metric), scores.words_of(metric).title
    told = f"{WAYS[best.variant]} {title} on {best.text(digits=1)} of {best.n:,} holdout rows, the tuned model on "
    told += f"{own.text(digits=1)}: no better, as far as these rows tell ({difference.text(digits=1)})"
    rest = "" if metric == scores.headline and len(scores.words) == 1 else f" for {metric}"
    return f"{told}. You may not need a language model{rest}."
