"""call_name: of a row that wants calls, the right tools are called as often as they are due."""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric, wants_calls
from tasks.metrics.reference import ModelAnswer, Reference, same_tools


def _score(reference: Reference, given: ModelAnswer) -> bool:
    return reference.answer is not None and same_tools(reference.answer.calls, given.calls)


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of every form of answer: rows bring their tools."""
    return (Metric("call_name", "right tool", wants_calls, _score, fault="wrong tool"),)
