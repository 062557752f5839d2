"""call_arguments: of a row that wants calls, the right tools are called with the right arguments, equal as JSON is.

Calls of one message are parallel in OpenAI's format, so their order does not count.
"""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric, wants_calls
from tasks.metrics.reference import ModelAnswer, Reference, same_calls


def _score(reference: Reference, given: ModelAnswer) -> bool:
    return reference.answer is not None and same_calls(reference.answer.calls, given.calls)


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of every form of answer: rows bring their tools. It speaks for a variant whose answers have no graded field."""
    title, fault = "right tool and arguments", "wrong arguments"
    return (Metric("call_arguments", title, wants_calls, _score, fault=fault, headline=2),)
