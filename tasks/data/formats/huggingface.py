"""Hugging Face: a folder of datasets.save_to_disk with its splits.

Columns are messages (with `weight` where a row has weights), for pairs those of TRL, for a classification row text and
label, a ClassLabel.

It is only written: such a folder is read by its columns, as openai, prompt_completion or text_label.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.row_kind import RowKind
from tasks.data.formats.base import Format, Record, Row, UnheldError, Writer
from tasks.data.formats.openai import weighted
from tasks.data.formats.trl import pair_of_lists
from tasks.data.formats.writing import offered_tools, single_turn

FUNCTION: dict[str, Any] = {"name": pl.String, "arguments": pl.String}
CALL: dict[str, Any] = {"id": pl.String, "type": pl.String, "function": pl.Struct(FUNCTION)}
MESSAGE: dict[str, Any] = {  # the columns of a message; each but the first two is there if any message has it
    "role": pl.String,
    "content": pl.String,
    "weight": pl.Float64,
    "tool_calls": pl.List(pl.Struct(CALL)),
    "tool_call_id": pl.String,
    "name": pl.String,
}


def _record(row: Row, kind: RowKind) -> Record:
    if kind.answer_is_label:
        system, text, label = single_turn(row)
        if system:
            raise UnheldError("has a system message, for which text and label have no place")
        return {"text": text, "label": label}
    if kind.has_rejected:
        return pair_of_lists(row)
    tools = {name: json.dumps(value, ensure_ascii=False) for name, value in offered_tools(row).items()}
    return {"messages": [_as_columns(said) for said in weighted(row, float)], **tools}


def _as_columns(said: Record) -> Record:
    """A message whose tool calls have the columns of all calls, and no others."""
    for call in said.get("tool_calls", ()):
        if not (call.keys() <= CALL.keys() and call["function"].keys() <= FUNCTION.keys()):
            raise UnheldError(f"has a tool call of more than {', '.join(CALL)}")
    return said


def _write(records: dict[str, list[Record]], folder: Path) -> None:
    from datasets import ClassLabel, Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    splits = DatasetDict({split: Dataset.from_polars(_frame(rows, records)) for split, rows in records.items()})
    labels = sorted({row["label"] for rows in records.values() for row in rows if "label" in row})
    if labels:
        splits = splits.cast_column("label", ClassLabel(names=labels))
    splits.save_to_disk(folder)


def _frame(rows: list[Record], records: dict[str, list[Record]]) -> pl.DataFrame:
    """The rows of a split with the columns and types of all, so that the splits make one dataset."""
    every = [row for split in records.values() for row in split]
    keys = {key for row in every for said in row.get("messages", []) for key in said}
    said = pl.List(pl.Struct({name: dtype for name, dtype in MESSAGE.items() if name in keys | {"role", "content"}}))
    names = list(dict.fromkeys(name for row in every for name in row))
    texts = {name for row in every for name in row if isinstance(row[name], str)}
    return pl.DataFrame(rows, schema={name: pl.String if name in texts else said for name in names})


FORMAT = Format("huggingface", writer=Writer(_record, _write, has_weights=True))
