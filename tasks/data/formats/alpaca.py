"""Alpaca: {instruction, input, output, system, history} in one JSON list, texts only; pairs with chosen and rejected.

Written in it, a row is one question and one answer, and has no tools.
"""

from __future__ import annotations

from tasks.core.row import Message, parsed, tools_of
from tasks.core.row_kind import RowKind
from tasks.data.formats.base import Format, Record, Row, Shape, Shaped, UnheldError, Writer
from tasks.data.formats.conversations import with_system
from tasks.data.formats.messages import answer_text, content_text
from tasks.data.formats.preference_pairs import has_both, pair, pair_shape
from tasks.data.formats.writing import single_turn, write_json


def _read(record: Record) -> Shaped:
    used = {"instruction", "input", "output"} | ({"history"} if history(record) else set())
    return with_system(record, Shaped([*instruction(record), answer_text(record["output"])], used))


def _read_pair(record: Record) -> Shaped | None:
    """LLaMA-Factory's Alpaca with two answers, which are text whatever they look like."""
    if "instruction" not in record or not has_both(record):
        return None
    used = {"instruction", "input", "chosen", "rejected"} | ({"history"} if history(record) else set())
    better, worse = ([dict(answer_text(record[key]))] for key in ("chosen", "rejected"))
    return pair([dict(turn) for turn in instruction(record)], better, worse, used)


def instruction(record: Record) -> list[Message]:
    """What an Alpaca record asks: its earlier exchanges, then the instruction with its input below."""
    asked = [part for part in (content_text(record["instruction"]), content_text(record.get("input"))) if part]
    return [*history(record), {"role": "user", "content": "\n\n".join(asked)}]


def history(record: Record) -> list[Message]:
    """Earlier exchanges of an Alpaca record, [[question, answer], ...]; anything else by that name is none."""
    earlier = parsed(record.get("history"), "[")
    if not isinstance(earlier, list) or not all(isinstance(e, list | tuple) and len(e) == 2 for e in earlier):
        return []
    return [
        {"role": ("user", "assistant")[place], "content": content_text(turns[place])}
        for turns in earlier
        for place in (0, 1)
    ]


def _record(row: Row, kind: RowKind) -> Record:
    if row.get("calls") or tools_of(row["meta"]):
        raise UnheldError("has tools or tool calls, which it has no place for")
    system, asked, answered = single_turn(row)
    answers = {"chosen": answered, "rejected": row["rejected"]} if kind.has_rejected else {"output": answered}
    return {"instruction": asked, "input": "", **answers, **({"system": system} if system else {})}


FORMAT = Format(
    "alpaca",
    shapes=(pair_shape(_read_pair, "chosen", "rejected"), Shape((frozenset(("instruction", "output")),), _read)),
    writer=Writer(_record, write_json),
)
