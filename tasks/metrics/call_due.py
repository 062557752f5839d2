"""call_due: of a row with tools on offer, a tool is called when its own answer calls one, and none when it calls
none.
"""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric, wants_calls
from tasks.metrics.reference import ModelAnswer, Reference


def _score(reference: Reference, given: ModelAnswer) -> bool:
    return (given.calls is not None) == wants_calls(reference)


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of every form of answer: rows bring their tools."""
    title, fault = "tool called when due, and only then", "tool call missing, or not wanted"
    return (Metric("call_due", title, lambda reference: bool(reference.tools), _score, fault=fault),)
