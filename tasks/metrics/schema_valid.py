"""schema_valid: the answer's JSON object keeps the schema of the recipe."""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings, broken_rule
from tasks.metrics.base import Metric, wants_text
from tasks.metrics.reference import ModelAnswer, Reference


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of answers with a schema."""

    def score(reference: Reference, given: ModelAnswer) -> bool:
        return given.json is not None and not broken_rule(given.json, answer)

    valid = Metric("schema_valid", "schema kept", wants_text, score, fault="schema broken")
    return (valid,) if answer.json_schema else ()
