"""Ingest: raw files of any known format become canonical rows; what cannot be read is quarantined with file and line.

The id of a row is the sha256 of its messages, so the same conversation in a new export, with a new timestamp or in
another file, keeps its id. Exact copies are numbered in the order of their other columns, then of file and line.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from tasks.core.home import digest_bytes
from tasks.core.ledger import ROW_SCHEMA, Outcome, Schema, content_json, entries, entry
from tasks.core.records import Record
from tasks.core.settings import Settings
from tasks.core.shapes import UnadaptedError, adapt
from tasks.core.sources import RawFile, Source, find_sources, read

__all__ = ["IngestSettings", "RawFile", "Source", "find_sources", "ingest"]

HELD_SCHEMA: Schema = {
    "row_id": pl.String, "source": pl.String, "line": pl.Int64,
    "reason": pl.String, "meta": pl.String, "text": pl.String,
}  # fmt: skip


class IngestSettings(Settings):
    """Nothing to set for all files at once: what differs between files is said at each `Source`."""


def ingest(files: list[RawFile], settings: IngestSettings) -> Outcome:
    """Read every record of every file. kept: canonical rows; raw: what was quarantined, as it stood.

    Raises DataError for a file that cannot be trusted as a whole: empty, not text, broken JSON, or changed since.
    """
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for file in sorted(files, key=lambda file: file.name):
        for record in read(file):
            try:
                good.append(_row(file, record))
            except UnadaptedError as error:
                bad.append(_held(file, record, error))
    rows, held = _frame(good, ROW_SCHEMA), _frame(bad, HELD_SCHEMA)
    told = [
        entry(row, "quarantined", row["reason"], **json.loads(row["meta"]))
        for row in held.drop("text").iter_rows(named=True)
    ]
    return Outcome(rows, entries("ingest", told), raw=held.select("row_id", "text"))


def _row(file: RawFile, record: Record) -> dict[str, Any]:
    if record.value is None:
        raise UnadaptedError(record.reason, **record.evidence)
    messages, extra = adapt(record.value, file.format, file.columns)
    meta = json.dumps(extra, ensure_ascii=False, sort_keys=True, default=str)
    row = {"messages": messages, "rejected": None, "weights": None}
    content = content_json(row)
    try:
        meta.encode()
        digest = digest_bytes(content.encode())
    except UnicodeEncodeError as error:  # bytes that were not UTF-8, or half of an escaped pair such as \ud83d\ude00
        undecoded = "\udc80" <= error.object[error.start] <= "\udcff"
        raise UnadaptedError("not UTF-8" if undecoded else "broken Unicode escape") from error
    return {"row_id": digest, "source": file.name, "line": record.line, **row, "meta": meta}


def _held(file: RawFile, record: Record, error: UnadaptedError) -> dict[str, Any]:
    text = record.text or json.dumps(record.value, ensure_ascii=False, default=str)
    text = text.encode("utf-8", "backslashreplace").decode()
    return {
        "row_id": digest_bytes(b"quarantined:" + text.encode()),  # never the id of a row that came through
        "source": file.name, "line": record.line, "reason": error.reason, "text": text,
        "meta": json.dumps(error.evidence, sort_keys=True, default=str),
    }  # fmt: skip


def _frame(rows: list[dict[str, Any]], schema: Schema) -> pl.DataFrame:
    """Rows sorted by id. Given ids are content digests: the first copy keeps it, the others get one of their own."""
    frame = pl.DataFrame(rows, schema=schema).sort("row_id", "meta", "source", "line")
    copies = frame.select("row_id", copy=pl.int_range(pl.len()).over("row_id"))
    ids = [digest_bytes(f"{digest}:{copy}".encode()) if copy else digest for digest, copy in copies.iter_rows()]
    return frame.with_columns(row_id=pl.Series(ids, dtype=pl.String)).sort("row_id")
