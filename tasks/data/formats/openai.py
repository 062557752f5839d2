"""OpenAI's fine-tuning format: JSONL of {messages, tools}, a `weight` at messages, and its preference format."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tasks.core.row import parsed, turns
from tasks.core.row_kind import RowKind
from tasks.data.formats.base import Format, Record, Row, Shaped, Writer
from tasks.data.formats.conversations import turns_under
from tasks.data.formats.messages import UnadaptedError, conversation_turns
from tasks.data.formats.preference_pairs import has_both, pair, pair_shape, paired
from tasks.data.formats.writing import assistant, offered_tools, write_jsonl

ANSWERS = ("preferred_output", "non_preferred_output")
TOOLS = ("tools", "parallel_tool_calls")


def _read_pair(record: Record) -> Shaped | None:
    """{input: {messages}, preferred_output, non_preferred_output}; tools in its input go to meta, as `input`."""
    given = parsed(record.get("input"), "{")
    if not isinstance(given, dict) or not has_both(record, *ANSWERS):
        return None
    prompt = conversation_turns(given.get("messages"))
    if prompt is None:
        raise UnadaptedError("a prompt without messages")
    rest = {key: value for key, value in given.items() if key != "messages" and value not in (None, [])}
    better, worse = (record[name] for name in ANSWERS)
    found = pair(prompt, better, worse, {"input", *ANSWERS})
    found.fields |= {"input": rest} if rest else {}
    return found


def _record(row: Row, kind: RowKind) -> Record:
    meta = json.loads(row["meta"])
    if kind.has_rejected:
        *prompt, chosen = row["messages"]
        return {
            "input": {"messages": prompt, **_kept_tools(meta.get("input"))},
            "preferred_output": [chosen],
            "non_preferred_output": [assistant(row["rejected"])],
        }
    return {"messages": weighted(row, int), **_kept_tools(meta), **offered_tools(row)}


def _kept_tools(meta: Any) -> Record:
    """What a row's source held of tools beside its messages."""
    return {key: meta[key] for key in TOOLS if meta.get(key) is not None} if isinstance(meta, dict) else {}


def weighted(row: Row, number: Callable[[float], float]) -> list[Record]:
    """The messages; the assistant's with a weight where the row has weights, for other roles have none here."""
    if row["weights"] is None:
        return turns(row)
    pairs = zip(turns(row), row["weights"], strict=True)
    return [{**said, "weight": number(weight)} if said["role"] == "assistant" else said for said, weight in pairs]


FORMAT = Format(
    "openai",
    shapes=(pair_shape(_read_pair, *ANSWERS), paired(("messages",)), turns_under("messages")),
    writer=Writer(_record, write_jsonl, has_weights=True),
)
