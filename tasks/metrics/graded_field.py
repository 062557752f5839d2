"""A metric for each graded field, under the field's name: its value is the reference's, or both leave it out."""

from __future__ import annotations

from functools import partial

from tasks.metrics.answer_schema import AnswerSettings, same
from tasks.metrics.base import Metric, wants_text
from tasks.metrics.reference import ModelAnswer, Reference


def right_field(name: str, reference: Reference, given: ModelAnswer) -> bool:
    """Whether the field `name` is right; in an answer that is no JSON object none is."""
    right, got = reference.json, given.json
    if got is None:
        return False
    if name in right and name in got:
        return same(right[name], got[name])
    return name not in right and name not in got


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """In the recipe's order; the first speaks for a variant."""
    return tuple(
        Metric(name, f"{name} right", wants_text, partial(right_field, name), fault=f"wrong {name}", headline=3)
        for name in answer.graded
    )
