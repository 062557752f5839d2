"""A form of answers for tests: a support ticket as JSON with two graded fields and a reply, and one such answer."""

from __future__ import annotations

from tasks.metrics.answer_schema import AnswerSettings

TICKET = AnswerSettings(
    label="intent",
    graded=("intent", "urgent"),
    json_schema={
        "type": "object",
        "required": ["intent"],
        "additionalProperties": False,
        "properties": {
            "intent": {"enum": ["refund", "order", "other"]},
            "urgent": {"type": ["boolean", "number"]},
            "reply": {"type": "string"},
        },
    },
)
TICKET_ANSWER = '{"intent": "refund", "urgent": true, "reply": "We are on it."}'
