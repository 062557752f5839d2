"""all_graded: every graded field is right."""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric, wants_text
from tasks.metrics.graded_field import right_field
from tasks.metrics.reference import ModelAnswer, Reference


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of answers with graded fields."""

    def score(reference: Reference, given: ModelAnswer) -> bool:
        return all(right_field(name, reference, given) for name in answer.graded)

    every = Metric("all_graded", "all fields right", wants_text, score, fault="not all fields right", sums_up=True)
    return (every,) if answer.graded else ()
