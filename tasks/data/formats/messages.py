"""Messages in the wild to {role, content}: role names, contents in parts, conversations as text in a cell, weights.

What could only be kept by losing something (a tool call, a picture) is not read; `UnadaptedError` says why.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from tasks.core.row import Message, parsed
from tasks.data.formats.names import MARKS, MEDIA, REASONING

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
# Roles of OpenAI and of ShareGPT that are parts of tool calls.
CALLS = (
    "tool",
    "function",
    "function_call",
    "observation",
)
CORE = ("role", "from", "content", "value", *MARKS)
TEXT_PARTS = (None, "text", "input_text", "output_text")  # types of a content's parts that are text
_SHOWN_TURNS = re.compile(r"\s*\[\s*\{\s*'(?:role|from|content|value)'\s*:")
MEDIA_BESIDE = "a picture, film or sound beside the text"
REASONING_BESIDE = "an answer's reasoning beside it"


class UnadaptedError(ValueError):
    """Why a record is no row; reason is stable text, evidence holds names and counts, never content."""

    def __init__(self, reason: str, **evidence: Any) -> None:
        self.reason, self.evidence = reason, evidence
        super().__init__(reason)


def to_message(turn: dict[str, Any], calls: bool = False) -> Message:
    """Convert one turn to a message. Raises UnadaptedError for a role nobody knows, a tool call, and what is not text.

    calls: take OpenAI's calls and answers of tools as well (tasks/data/formats/tool_calls.py); their older form and
    ShareGPT's never.
    """
    role = turn.get("role", turn.get("from"))
    if turn.get("tool_calls") or turn.get("function_call") or role in CALLS:
        if not calls:
            raise UnadaptedError("tool calls are not supported")
        if not _calls(turn):
            raise UnadaptedError("a tool's turn in a form that is not known", role=str(role)[:40])
        _refuse_more_than_text(turn)
        return {"role": role, "content": content_text(turn.get("content"))}
    known = ROLES.get(role) if isinstance(role, str) else None
    if known is None and (known := ROLES.get(str(role).lower())) is None:
        raise UnadaptedError("role not recognised", role=str(role)[:40], allowed=sorted(ROLES))
    _refuse_more_than_text(turn)
    value = turn.get("content", turn.get("value"))
    return {"role": known, "content": value if isinstance(value, str) else content_text(value)}


def _refuse_more_than_text(turn: dict[str, Any]) -> None:
    """Raises UnadaptedError for a turn with a picture, sound or reasoning beside its text."""
    for key in turn.keys() - set(CORE):
        if key.lower() in MEDIA and not is_empty(turn[key]):
            raise UnadaptedError(MEDIA_BESIDE, field=key)
        if key.lower() in REASONING and not is_empty(turn[key]):
            raise UnadaptedError(REASONING_BESIDE, field=key)


def _calls(turn: dict[str, Any]) -> bool:
    """Whether a turn that is part of a call is one in the form OpenAI has now."""
    made = bool(turn.get("tool_calls"))
    return not turn.get("function_call") and turn.get("role") == ("assistant" if made else "tool")


def content_text(value: Any) -> str:
    """A content as text; the text parts of one in parts, one below the other. Raises UnadaptedError
    for anything else.
    """
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return "\n".join(map(_part_text, value))
    raise UnadaptedError("content is not text", type=type(value).__name__)


def _part_text(part: dict[str, Any]) -> str:
    kind = part.get("type")
    if isinstance(kind, str) and kind in REASONING:
        raise UnadaptedError(REASONING_BESIDE, part=kind)
    text: str | None = next((part[key] for key in ("text", "value") if isinstance(part.get(key), str)), None)
    if text is None or kind not in TEXT_PARTS:
        raise UnadaptedError("content is not text", part=str(kind)[:40])
    return text


def is_empty(value: Any) -> bool:
    """Whether a column holds nothing: null, NaN, blanks, an empty list or object, or a list of such."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}", "null")
    if isinstance(value, list | tuple):
        return all(map(is_empty, value))
    return isinstance(value, dict) and all(map(is_empty, value.values()))


def joined(record: dict[str, Any], columns: Sequence[str]) -> Message:
    """What a user asks in these columns, one below the other; those that hold nothing are left out."""
    texts = [text for column in columns if (text := content_text(record[column])).strip() or len(columns) == 1]
    return {"role": "user", "content": "\n\n".join(texts)}


def answer_text(value: Any) -> Message:
    """An answer by itself; one given as an object is the JSON text of it."""
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else content_text(value)
    return {"role": "assistant", "content": text}


def turn_list(value: Any) -> list[dict[str, Any]] | None:
    """A list of turns, also one written into a table's cell: as JSON text, or as Python shows it, which is what pandas
    writes of a list. Raises UnadaptedError for a text that begins like one and is neither.
    """
    value = _shown(parsed(value, "["))
    return value if isinstance(value, list) and all(isinstance(turn, dict) for turn in value) else None


def _shown(value: Any) -> Any:
    if not isinstance(value, str) or not _SHOWN_TURNS.match(value):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise UnadaptedError("a list of messages that is neither JSON nor Python's way to show one") from error


def is_turn(turn: Any) -> bool:
    """Whether an object is a turn: someone says it."""
    return isinstance(turn, dict) and ("role" in turn or "from" in turn)


def conversation_turns(value: Any) -> list[dict[str, Any]] | None:
    """A list of turns with at least one, each said by someone: not just any JSON, which a prompt may well be."""
    turns = turn_list(value)
    return turns if turns and all(map(is_turn, turns)) else None


def weights(turns: Sequence[dict[str, Any]], messages: Sequence[Message]) -> list[float] | None:
    """How much each message teaches by its `weight`, or another of MARKS; an assistant's without one does. None when
    every answer teaches.
    """
    if not any(name in turn for turn in turns for name in MARKS):
        return None
    found = [_weight(turn) if said["role"] == "assistant" else 0.0 for turn, said in zip(turns, messages, strict=True)]
    return found if any(w == 0 and m["role"] == "assistant" for w, m in zip(found, messages, strict=True)) else None


def _weight(turn: dict[str, Any]) -> float:
    mark = mark_of(turn)
    return 1.0 if mark is None else mark[1]


def mark_of(turn: dict[str, Any]) -> tuple[str, float] | None:
    """(name, 0 or 1) of what says whether a turn, or a record, teaches; of several the one that says no.

    Raises UnadaptedError for a number between: half a lesson is none that training here knows.
    """
    marks = [(name, value) for name in MARKS if (value := _mark(name, turn.get(name))) is not None]
    return min(marks, key=lambda mark: mark[1], default=None)


def _mark(name: str, value: Any) -> float | None:
    """None for what is no mark: `training` may be a text about a course."""
    text = str(value).strip().lower()
    number = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}.get(text)
    if number is None and value is not None:
        try:
            number = float(text)
        except ValueError:
            return None
    if number not in (None, 0, 1):
        raise UnadaptedError("message weight is neither 0 nor 1", **{name: text[:20]})
    return number


def message_fields(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What single messages say beside role, content, weight and calls (name, time), turn by turn; empty when it is
    nothing.
    """
    fields = [
        {k: v for k, v in turn.items() if k not in CORE and v is not None and not _said(k, turn)} for turn in turns
    ]
    return {"message_fields": fields} if any(fields) else {}


def _said(key: str, turn: dict[str, Any]) -> bool:
    """Whether a row has this of a turn in its calls."""
    return (key == "tool_calls" and bool(turn[key])) or (key in ("tool_call_id", "name") and turn.get("role") == "tool")
