"""Export: write the curated rows in the format of another tool, one file or folder a split.

Each format is a file in tasks/data/formats; here is what all share: the splits, the refusal of rows that a format
cannot hold, and writing that is seen whole or not at all.

What is read back by ingest says the same, row by row: the messages, the rejected answer, the weights and the tool calls
are equal (from trl, arguments are in the form in which Python writes JSON). A row that a format cannot hold is an
error, never a loss: several turns or tools in Alpaca, weights where a format has no place for them.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from pathlib import Path

import polars as pl

from tasks.core.errors import DataError
from tasks.core.home import digest_path
from tasks.core.row_kind import RowKind
from tasks.data.formats import openai
from tasks.data.formats.base import Record, Row, UnheldError, Writer
from tasks.data.formats.catalog import FORMATS, writable

NAMED_ROWS = 5  # rows named in an error; more would scroll the message away
EVERY_ROW = openai.FORMAT.name  # the format that holds every row


def export(curated: pl.DataFrame, format: str, out: Path, kind: RowKind) -> dict[str, int]:
    """Write the rows into the folder `out`, which appears whole or not at all. Returns the rows of each split.

    curated: ROW_SCHEMA and, where there is one, `split`; without it all rows are `train`. The same rows give the same
    bytes. Raises DataError for a format that cannot be written, rows that it cannot hold, and where `out` holds
    something else.
    """
    if not curated.height:
        raise DataError("There is no row to export.", where="export", allowed="at least one row", todo="curate first")
    writer = _writer(format)
    records = _records(curated, format, writer, kind)
    out = out.absolute()
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        writer.files(records, new)
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


def _writer(name: str) -> Writer:
    writer = next((format.writer for format in FORMATS if format.name == name), None)
    if writer is None:
        raise DataError(
            f"{name!r} is no format that can be written.",
            where="export",
            allowed=", ".join(writable()),
            todo="name one of these",
        )
    return writer


def _put(new: Path, out: Path) -> None:
    """Rename, which a reader sees as one act. What lies there stays, if it is this very export."""
    if not (out.is_dir() and any(out.iterdir()) and digest_path(out) == digest_path(new)):
        os.replace(new, out)


def _records(curated: pl.DataFrame, format: str, writer: Writer, kind: RowKind) -> dict[str, list[Record]]:
    """The records of each split, in the order of the row ids. Raises DataError naming the rows that do not fit."""
    rows = (curated if "split" in curated.columns else curated.with_columns(split=pl.lit("train"))).sort("row_id")
    records: dict[str, list[Record]] = defaultdict(list)
    unheld: dict[str, list[str]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        try:
            records[row["split"]].append(_record(row, writer, kind))
        except UnheldError as error:
            unheld[str(error)].append(row["row_id"])
    if unheld:
        raise _refused(unheld, format, kind)
    return dict(sorted(records.items()))


def _record(row: Row, writer: Writer, kind: RowKind) -> Record:
    if (row["rejected"] is not None) != kind.has_rejected:
        raise UnheldError(f"is no row of kind {kind.name}")
    if row["weights"] is not None and (not kind.is_conversation or not writer.has_weights):
        raise UnheldError("has weights, which it has no place for, so that what must not teach would teach")
    return writer.record(row, kind)


def _refused(unheld: dict[str, list[str]], format: str, kind: RowKind) -> DataError:
    told = "; ".join(
        f"{len(ids):,} {'rows' if len(ids) > 1 else 'row'}, each {why} ({', '.join(i[:12] for i in ids[:NAMED_ROWS])}"
        f"{' ...' if len(ids) > NAMED_ROWS else ''})"
        for why, ids in unheld.items()
    )
    return DataError(
        f"The format {format} cannot hold every row of kind {kind.name}: {told}.",
        where="export",
        allowed=f"{EVERY_ROW} holds every row; see tasks/data/formats for the others",
        todo=f"export as {EVERY_ROW}, or take these rows out",
    )
