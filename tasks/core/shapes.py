"""Record shapes in the wild, adapted to `messages`: OpenAI, ShareGPT, Alpaca, prompt and completion.

A shape is recognised by its keys, row by row, whatever their case. What is not part of the conversation goes to meta.
What could only be kept by losing something (a tool call, a picture) is not adapted; `UnadaptedError` says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Message = dict[str, str]
Adapted = tuple[list[Message], set[str]]  # the messages, and the lower-case keys they were made of
ROLES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
}  # fmt: skip
PAIRS = (
    ("prompt", "completion"), ("prompt", "response"), ("question", "answer"), ("instruction", "response"),
    ("query", "response"), ("input", "output"), ("message", "reply"),
)  # fmt: skip


class UnadaptedError(ValueError):
    """Why a record is no conversation; reason is stable text, evidence holds names and counts, never content."""

    def __init__(self, reason: str, **evidence: Any) -> None:
        self.reason, self.evidence = reason, evidence
        super().__init__(reason)


def adapt(
    record: dict[str, Any], shape: str = "auto", pair: tuple[str, str] = ("", "")
) -> tuple[list[Message], dict[str, Any]]:
    """(messages, meta) of a record. pair: the column names of question and answer, where the recipe states them.

    Raises UnadaptedError when no shape fits, or the one that fits holds what `messages` cannot.
    """
    row = {key.strip().lower(): value for key, value in record.items()}
    if any(pair):
        adapted = _pair(row, pair[0].strip().lower(), pair[1].strip().lower())
    else:
        shapes = SHAPES.values() if shape == "auto" else [SHAPES[shape]]
        adapted = next((found for build in shapes if (found := build(row)) is not None), None)
    if adapted is None:
        raise UnadaptedError("shape not recognised", keys=sorted(record), expected=_expected(shape, pair))
    messages, used = adapted
    if not messages:
        raise UnadaptedError("no messages in it")
    meta = {key: value for key, value in record.items() if key.strip().lower() not in used}
    return messages, {**meta, **_message_fields(row, used)}


def _expected(shape: str, pair: tuple[str, str]) -> list[str]:
    return list(pair) if any(pair) else list(SHAPES) if shape == "auto" else [shape]


def recognised(record: dict[str, Any]) -> bool:
    """Whether the record itself is a row, and not a wrapper around rows."""
    try:
        adapt(record)
    except UnadaptedError as error:
        return error.reason != "shape not recognised"
    return True


def _turns(*keys: str) -> Callable[[dict[str, Any]], Adapted | None]:
    def build(row: dict[str, Any]) -> Adapted | None:
        key = next((k for k in keys if _turn_list(row.get(k)) is not None), None)
        if key is None:
            return None
        messages = [_message(turn) for turn in _turn_list(row[key]) or []]
        return _with_system(row, messages, {key}) if messages and messages[0]["role"] != "system" else (messages, {key})

    return build


def _turn_list(value: Any) -> list[Any] | None:
    """A list of turns, also one written as JSON text in a table's cell."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list) and all(isinstance(turn, dict) for turn in value) else None


def _message(turn: dict[str, Any]) -> Message:
    role = turn.get("role", turn.get("from"))
    known = ROLES.get(str(role).lower())
    if turn.get("tool_calls") or turn.get("function_call") or role in ("tool", "function"):
        raise UnadaptedError("tool calls are not supported")
    if known is None:
        raise UnadaptedError("role not recognised", role=str(role)[:40], allowed=sorted(ROLES))
    if turn.get("weight") == 0:  # training lays its loss on every assistant turn, and this one says not to
        raise UnadaptedError("message weight of zero is not supported")
    return {"role": known, "content": _content(turn.get("content", turn.get("value")))}


def _content(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "\n".join(part["text"] for part in value)
    if value is None or isinstance(value, str):
        return value or ""
    raise UnadaptedError("content is not text", type=type(value).__name__)


def _message_fields(row: dict[str, Any], used: set[str]) -> dict[str, Any]:
    """Fields of single messages other than role and content (name, weight, time), kept in meta turn by turn."""
    core = {"role", "from", "content", "value"}
    turns = next((found for key in sorted(used) if (found := _turn_list(row.get(key)))), [])
    fields = [{k: v for k, v in turn.items() if k not in core and v is not None} for turn in turns]
    return {"message_fields": fields} if any(fields) else {}


def _alpaca(row: dict[str, Any]) -> Adapted | None:
    if not {"instruction", "output"} <= row.keys():
        return None
    asked = [part for part in (_content(row["instruction"]), _content(row.get("input"))) if part]
    return _with_system(row, _exchange("\n\n".join(asked), row["output"]), {"instruction", "input", "output"})


def _pairs(row: dict[str, Any]) -> Adapted | None:
    return next((found for asked, answered in PAIRS if (found := _pair(row, asked, answered)) is not None), None)


def _pair(row: dict[str, Any], asked: str, answered: str) -> Adapted | None:
    if not {asked, answered} <= row.keys():
        return None
    before, after = (_turn_list(row[key]) for key in (asked, answered))
    if before and after:  # TRL's conversational prompt and completion
        return [_message(turn) for turn in before + after], {asked, answered}
    return _with_system(row, _exchange(_content(row[asked]), row[answered]), {asked, answered})


def _exchange(asked: str, answer: Any) -> list[Message]:
    """One question and its answer; an answer given as an object is the JSON text of it."""
    text = json.dumps(answer, ensure_ascii=False, default=str) if isinstance(answer, dict) else _content(answer)
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": text}]


def _with_system(row: dict[str, Any], messages: list[Message], used: set[str]) -> Adapted:
    system = row.get("system", "")
    if not isinstance(system, str) or not system.strip():
        return messages, used
    return [{"role": "system", "content": system}, *messages], used | {"system"}


SHAPES: dict[str, Callable[[dict[str, Any]], Adapted | None]] = {
    "openai": _turns("messages"), "sharegpt": _turns("conversations", "conversation"), "alpaca": _alpaca,
    "prompt_completion": _pairs,
}  # fmt: skip
