"""export: the curated rows in the formats that other tools train from, one file or folder a split.

    openai        {messages} in JSONL, weights as each message's `weight`, with the tools it came with; pairs in
    OpenAI's
                  preference format
    trl           {messages, tools} in JSONL, the arguments of calls as values, which chat templates want; pairs as
    {prompt,
                  chosen, rejected}, each a list of messages
    alpaca        {instruction, input, output, system} in one JSON list; pairs with chosen and rejected in output's
    place huggingface   a folder of datasets.save_to_disk with its splits: messages (with `weight` where a row has
    weights), pairs as
                  for trl, a classification row as text and label, a ClassLabel

What is read back by ingest says the same, row by row: the messages, the rejected answer, the weights and the tool calls
are equal (from trl, arguments are in the form in which Python writes JSON). A row that a format cannot hold is an
error, never a loss: several turns or tools in Alpaca, weights anywhere but in openai and huggingface.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from tasks.core.errors import DataError
from tasks.core.home import digest_path
from tasks.core.row import tools_of, turns, with_arguments
from tasks.core.row_kind import RowKind

ExportFormat = Literal["openai", "trl", "alpaca", "huggingface"]
FORMATS: tuple[str, ...] = get_args(ExportFormat)
NAMED_ROWS = 5  # rows named in an error; more would scroll the message away
TOOLS = ("tools", "parallel_tool_calls")
Row = dict[str, Any]
FUNCTION: dict[str, Any] = {"name": pl.String, "arguments": pl.String}
CALL: dict[str, Any] = {"id": pl.String, "type": pl.String, "function": pl.Struct(FUNCTION)}
SAID: dict[str, Any] = {  # the columns of a message in a dataset; each but the first two is there if any message has it
    "role": pl.String,
    "content": pl.String,
    "weight": pl.Float64,
    "tool_calls": pl.List(pl.Struct(CALL)),
    "tool_call_id": pl.String,
    "name": pl.String,
}


class _UnheldError(ValueError):
    """Why a format cannot hold a row."""


def export(curated: pl.DataFrame, format: ExportFormat, out: Path, kind: RowKind) -> dict[str, int]:
    """Write the rows into the folder `out`, which appears whole or not at all. Returns the rows of each split.

    curated: ROW_SCHEMA and, where there is one, `split`; without it all rows are `train`. The same rows give the same
    bytes. Raises DataError for rows the format cannot hold, and where `out` holds something else.
    """
    if not curated.height:
        raise DataError("There is no row to export.", where="export", allowed="at least one row", todo="curate first")
    records = _records(curated, format, kind)
    out = out.absolute()
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        _WRITERS[format](records, new)
        _put(new, out)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written: {error.strerror or error}.",
            where="export",
            allowed="a path where nothing is, an empty folder, or the same export",
            todo="take another path, or remove it",
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return {split: len(rows) for split, rows in records.items()}


def _put(new: Path, out: Path) -> None:
    """Rename, which a reader sees as one act. What lies there stays, if it is this very export."""
    if not (out.is_dir() and any(out.iterdir()) and digest_path(out) == digest_path(new)):
        os.replace(new, out)


def _records(curated: pl.DataFrame, format: ExportFormat, kind: RowKind) -> dict[str, list[Row]]:
    """The records of each split, in the order of the row ids. Raises DataError naming the rows that do not fit."""
    rows = (curated if "split" in curated.columns else curated.with_columns(split=pl.lit("train"))).sort("row_id")
    records: dict[str, list[Row]] = defaultdict(list)
    unheld: dict[str, list[str]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        try:
            records[row["split"]].append(_record(row, format, kind))
        except _UnheldError as error:
            unheld[str(error)].append(row["row_id"])
    if unheld:
        raise _refused(unheld, format, kind)
    return dict(sorted(records.items()))


def _record(row: Row, format: ExportFormat, kind: RowKind) -> Row:
    if (row["rejected"] is not None) != kind.has_rejected:
        raise _UnheldError(f"is no row of kind {kind.name}")
    if row["weights"] is not None and (not kind.is_conversation or format not in ("openai", "huggingface")):
        raise _UnheldError("has weights, which it has no place for, so that what must not teach would teach")
    return _BUILDERS[format](row, kind)


def _refused(unheld: dict[str, list[str]], format: str, kind: RowKind) -> DataError:
    told = "; ".join(
        f"{len(ids):,} {'rows' if len(ids) > 1 else 'row'}, each {why} ({', '.join(i[:12] for i in ids[:NAMED_ROWS])}"
        f"{' ...' if len(ids) > NAMED_ROWS else ''})"
        for why, ids in unheld.items()
    )
    return DataError(
        f"The format {format} cannot hold every row of kind {kind.name}: {told}.",
        where="export",
        allowed="openai holds every row; see tasks/curation/export.py for the others",
        todo="export as openai, or take these rows out",
    )


def _openai(row: Row, kind: RowKind) -> Row:
    meta = json.loads(row["meta"])
    if kind.has_rejected:
        *prompt, chosen = row["messages"]
        return {
            "input": {"messages": prompt, **_tools(meta.get("input"))},
            "preferred_output": [chosen],
            "non_preferred_output": [_assistant(row["rejected"])],
        }
    return {"messages": _weighted(row, int), **_tools(meta), **_offered(row)}


def _tools(meta: Any) -> Row:
    """What a row's source said of tools beside its messages, as OpenAI's format has it."""
    return {key: meta[key] for key in TOOLS if meta.get(key) is not None} if isinstance(meta, dict) else {}


def _offered(row: Row) -> Row:
    """The tools on offer, also those that came as JSON text in a table's column."""
    tools = tools_of(row["meta"])
    return {"tools": tools} if tools else {}


def _weighted(row: Row, number: Callable[[float], float]) -> list[Row]:
    """The messages; the assistant's with a weight where the row has weights: other roles have none
    in OpenAI's format.
    """
    if row["weights"] is None:
        return turns(row)
    pairs = zip(turns(row), row["weights"], strict=True)
    return [{**said, "weight": number(weight)} if said["role"] == "assistant" else said for said, weight in pairs]


def _trl(row: Row, kind: RowKind) -> Row:
    if kind.has_rejected:
        *prompt, chosen = row["messages"]
        return {"prompt": prompt, "chosen": [chosen], "rejected": [_assistant(row["rejected"])]}
    return {"messages": [with_arguments(said) for said in turns(row)], **_offered(row)}


def _assistant(text: str) -> Row:
    return {"role": "assistant", "content": text}


def _alpaca(row: Row, kind: RowKind) -> Row:
    if row.get("calls") or tools_of(row["meta"]):
        raise _UnheldError("has tools or tool calls, which it has no place for")
    system, asked, answer = _single(row)
    answers = {"chosen": answer, "rejected": row["rejected"]} if kind.has_rejected else {"output": answer}
    return {"instruction": asked, "input": "", **answers, **({"system": system} if system else {})}


def _single(row: Row) -> tuple[str, str, str]:
    """(system, question, answer) of a row of one question and one answer."""
    system = [said["content"] for said in row["messages"][:1] if said["role"] == "system"]
    rest = row["messages"][len(system) :]
    if [said["role"] for said in rest] != ["user", "assistant"]:
        raise _UnheldError("is not one question and one answer")
    if system and not system[0].strip():
        raise _UnheldError("has an empty system message")
    return "".join(system), rest[0]["content"], rest[1]["content"]


def _huggingface(row: Row, kind: RowKind) -> Row:
    if kind.answer_is_label:
        system, text, label = _single(row)
        if system:
            raise _UnheldError("has a system message, for which text and label have no place")
        return {"text": text, "label": label}
    if kind.has_rejected:
        return _trl(row, kind)
    tools = {name: json.dumps(value, ensure_ascii=False) for name, value in _offered(row).items()}
    return {"messages": [_as_columns(said) for said in _weighted(row, float)], **tools}


def _as_columns(said: Row) -> Row:
    """A message whose tool calls have the columns of all calls, and no others."""
    for call in said.get("tool_calls", ()):
        if not (call.keys() <= CALL.keys() and call["function"].keys() <= FUNCTION.keys()):
            raise _UnheldError(f"has a tool call of more than {', '.join(CALL)}")
    return said


def _write_jsonl(records: dict[str, list[Row]], folder: Path) -> None:
    for split, rows in records.items():
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_json(records: dict[str, list[Row]], folder: Path) -> None:
    for split, rows in records.items():
        text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{split}.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


def _write_dataset(records: dict[str, list[Row]], folder: Path) -> None:
    from datasets import ClassLabel, Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    splits = DatasetDict({split: Dataset.from_polars(_frame(rows, records)) for split, rows in records.items()})
    labels = sorted({row["label"] for rows in records.values() for row in rows if "label" in row})
    if labels:
        splits = splits.cast_column("label", ClassLabel(names=labels))
    splits.save_to_disk(folder)


def _frame(rows: list[Row], records: dict[str, list[Row]]) -> pl.DataFrame:
    """The rows of a split with the columns and types of all, so that the splits make one dataset."""
    every = [row for split in records.values() for row in split]
    keys = {key for row in every for said in row.get("messages", []) for key in said}
    said = pl.List(pl.Struct({name: dtype for name, dtype in SAID.items() if name in keys | {"role", "content"}}))
    names = list(dict.fromkeys(name for row in every for name in row))
    texts = {name for row in every for name in row if isinstance(row[name], str)}
    return pl.DataFrame(rows, schema={name: pl.String if name in texts else said for name in names})


_BUILDERS: dict[str, Callable[[Row, RowKind], Row]] = {
    "openai": _openai,
    "trl": _trl,
    "alpaca": _alpaca,
    "huggingface": _huggingface,
}
_WRITERS: dict[str, Callable[[dict[str, list[Row]], Path], None]] = {
    "openai": _write_jsonl,
    "trl": _write_jsonl,
    "alpaca": _write_json,
    "huggingface": _write_dataset,
}
