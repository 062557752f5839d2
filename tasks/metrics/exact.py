"""exact: the answer is the reference to the letter, but for space at its ends; of JSON, the same value; of tool calls,
the same ones with the same text beside them. Every row has it.
"""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings, same
from tasks.metrics.base import Metric
from tasks.metrics.reference import ModelAnswer, Reference, same_calls


def metrics(answer: AnswerSettings) -> tuple[Metric, ...]:
    """Of every form of answer."""

    def score(reference: Reference, given: ModelAnswer) -> bool:
        right = reference.answer or ModelAnswer("")
        if right.calls is not None:
            return same_calls(right.calls, given.calls) and right.text.strip() == given.text.strip()
        if given.calls is not None:
            return False
        if not answer.json_schema:
            return right.text.strip() == given.text.strip()
        return given.json is not None and same(reference.json, given.json)

    fault = "another text than expected"
    return (Metric("exact", "exact match", lambda _: True, score, fault=fault, sums_up=True, headline=1),)
