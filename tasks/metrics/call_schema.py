"""call_schema: of a row that wants calls, every call is of a tool on offer and keeps its schema."""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric, wants_calls
from tasks.metrics.reference import ModelAnswer, Reference, broken_calls


def _score(reference: Reference, given: ModelAnswer) -> bool:
    return given.calls is not None and not broken_calls(given.calls, reference.tools)


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of every form of answer: rows bring their tools."""
    return (Metric("call_schema", "tool's schema kept", wants_calls, _score, fault="tool's schema broken"),)
