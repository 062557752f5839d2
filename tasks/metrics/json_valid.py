"""json_valid: the answer is one JSON object and nothing else."""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric, wants_text
from tasks.metrics.reference import ModelAnswer, Reference


def _score(reference: Reference, given: ModelAnswer) -> bool:
    return given.json is not None


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of answers with a schema."""
    valid = Metric("json_valid", "valid JSON", wants_text, _score, fault="not valid JSON")
    return (valid,) if answer.json_schema else ()
