"""Ingest: raw files of any known format become canonical rows; what cannot be read is quarantined with file and line.

    sft              conversations; what its source says must not teach (a message weight of 0, a bad rating) has
                     weights
    preference       a prompt and the chosen answer, with the rejected one
    classification   a text and, as the answer, its label
A row of another kind than the recipe's is quarantined: tasks/data/formats/adapter.py says what is recognised as what.

The id of a row is the sha256 of what it says (content_json), so the same conversation in a new export, with a new
timestamp or in another file, keeps its id. Exact copies are numbered in the order of their other columns, then of file
and line.
"""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl

from tasks.core.home import digest_bytes
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.row import ROW_SCHEMA, Schema, content_json
from tasks.core.row_kind import SFT, RowKind
from tasks.core.settings import Settings
from tasks.data.encodings import state_encoding
from tasks.data.formats.adapter import Adapter, adapter
from tasks.data.formats.gathering import Gathering
from tasks.data.formats.messages import UnadaptedError
from tasks.data.records import Record
from tasks.data.sources import RawFile, Source, find_sources, read

__all__ = ["IngestSettings", "RawFile", "Source", "find_sources", "ingest"]

HELD_SCHEMA: Schema = {
    "row_id": pl.String,
    "source": pl.String,
    "line": pl.Int64,
    "reason": pl.String,
    "meta": pl.String,
    "text": pl.String,
}
UNDECODED = "not UTF-8"
JOINED = "put together from a record for each message"
_ESCAPED = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # halves of pairs, and no bytes
CHUNK = 100_000  # rows that are Python objects at a time
_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str)  # made once, which halves its time


class IngestSettings(Settings):
    """Nothing to set for all files at once: what differs between files is said at each `Source`."""


def ingest(files: list[RawFile], settings: IngestSettings, kind: RowKind = SFT) -> Outcome:
    """Read every record of every file. kept: canonical rows; raw: what was quarantined, as it stood.

    kind: what the recipe says its rows are; a row of another kind is quarantined.
    Raises DataError for a file that cannot be trusted as a whole: empty, not text, broken JSON, or changed since.
    """
    came = _Reading(kind)
    for file in sorted(files, key=lambda file: file.name):
        came.read(file)
    came.put_together()
    held = _numbered(pl.DataFrame(came.bad, schema=HELD_SCHEMA))
    kept = _numbered(came.frame())
    told = [
        entry(row, "quarantined", row["reason"], **json.loads(row["meta"]))
        for row in held.drop("text").iter_rows(named=True)
    ]
    joined = kept.select("row_id", "source", "line").iter_rows(named=True) if came.joined else ()
    told += [
        entry(row, "changed", JOINED, lines=lines)
        for row in joined
        if (lines := came.joined.get((row["source"], row["line"])))
    ]
    return Outcome(kept, entries("ingest", told), raw=held.select("row_id", "text"))


class _Reading:
    """What came of the files so far. joined: by source and line of a row, the lines of the records it is made of."""

    def __init__(self, kind: RowKind) -> None:
        self._kind, self._gathering = kind, Gathering(kind)
        self._good, self._frames = Columns(), list[pl.DataFrame]()
        self.bad, self.joined = list[dict[str, Any]](), dict[tuple[str, int], list[int]]()
        self._undecoded, self._encodings = list[tuple[dict[str, Any], Record]](), dict[str, str]()

    def read(self, file: RawFile) -> None:
        self._encodings[file.name] = file.encoding
        adapt, take = adapter(file.reading, self._kind), self._gathering.taker(file.name, file.reading)
        decoded = False
        for record in read(file):
            try:
                if not take(record):
                    self._add(file.name, record, adapt)
                    decoded = decoded or not record.text.isascii()
            except UnadaptedError as error:
                self._hold(file.name, record, error)
        if not decoded and not file.encoding:  # else they are odd ones of a file that is what it should be
            _state_encoding(self._undecoded)
        self._undecoded = []

    def put_together(self) -> None:
        """The rows that lie in several records. Each record of one that cannot be made is held by itself."""
        for row in self._gathering.rows():
            try:
                made = row.record()
                self._add(row.source, made, row.adapt)
            except UnadaptedError as error:
                for record in row.parts:
                    self._hold(row.source, record, error)
            else:
                if len(row.parts) > 1:
                    self.joined[row.source, made.line] = sorted(record.line for record in row.parts)

    def frame(self) -> pl.DataFrame:
        return pl.concat([*self._frames, self._good.frame()])

    def _add(self, source: str, record: Record, adapt: Adapter) -> None:
        _add(self._good, source, record, adapt)
        if len(self._good.ids) == CHUNK:
            self._frames.append(self._good.frame())
            self._good = Columns()

    def _hold(self, source: str, record: Record, error: UnadaptedError) -> None:
        self.bad.append(held := _held(source, record, error))
        if error.reason == UNDECODED and self._encodings[source]:
            held["reason"] = f"not {self._encodings[source]}, as the recipe states"
        elif error.reason == UNDECODED:
            self._undecoded.append((held, record))


def _state_encoding(undecoded: list[tuple[dict[str, Any], Record]]) -> None:
    """Say of records that are not UTF-8 what they look like."""
    texts = "\n".join(_ESCAPED.sub("", _text(record)) for _, record in undecoded)
    if likely := state_encoding(texts.encode("utf-8", "surrogateescape")):
        for held, _ in undecoded:
            held["meta"] = json.dumps({**json.loads(held["meta"]), "todo": likely}, sort_keys=True)


class Columns:
    """Rows on their way to a frame, column by column, with their messages one after another: quicker than rows as
    dicts.
    """

    def __init__(self) -> None:
        self.ids, self.sources, self.lines, self.metas = list[str](), list[str](), list[int](), list[str]()
        self.rejected, self.weights = list[str | None](), list[list[float] | None]()
        self.calls = list[list[str | None] | None]()
        self.roles, self.contents, self.ends = list[str](), list[str](), [0]

    def frame(self) -> pl.DataFrame:
        """The rows, ROW_SCHEMA, in the order they came."""
        import pyarrow as pa

        said = pa.StructArray.from_arrays(
            [pa.array(self.roles, pa.large_string()), pa.array(self.contents, pa.large_string())], ["role", "content"]
        )
        messages = pl.Series("messages", pa.LargeListArray.from_arrays(pa.array(self.ends, pa.int64()), said))
        columns = {
            "row_id": self.ids,
            "source": self.sources,
            "line": self.lines,
            "messages": messages,
            "rejected": self.rejected,
            "weights": self.weights,
            "calls": self.calls,
            "meta": self.metas,
        }
        return pl.DataFrame(columns, schema=ROW_SCHEMA)


def _add(rows: Columns, source: str, record: Record, adapt: Adapter) -> None:
    if record.value is None:
        raise UnadaptedError(record.reason, **record.evidence)
    row, extra = adapt(record.value)
    meta = _JSON.encode(extra) if extra else "{}"
    try:
        meta.encode()
        digest = digest_bytes(content_json(row).encode())
    except UnicodeEncodeError as error:  # bytes that are not of the encoding, or half of an escaped pair (\ud83d\ude00)
        undecoded = "\udc80" <= error.object[error.start] <= "\udcff"
        raise UnadaptedError(UNDECODED if undecoded else "broken Unicode escape") from error
    rows.ids.append(digest)
    rows.sources.append(source)
    rows.lines.append(record.line)
    rows.metas.append(meta)
    rows.rejected.append(row["rejected"])
    rows.weights.append(row["weights"])
    rows.calls.append(row["calls"])
    rows.roles.extend([said["role"] for said in row["messages"]])
    rows.contents.extend([said["content"] for said in row["messages"]])
    rows.ends.append(len(rows.roles))


def _text(record: Record) -> str:
    return record.text or json.dumps(record.value, ensure_ascii=False, default=str)


def _held(source: str, record: Record, error: UnadaptedError) -> dict[str, Any]:
    text = _text(record).encode("utf-8", "backslashreplace").decode()
    return {
        "row_id": digest_bytes(b"quarantined:" + text.encode()),  # never the id of a row that came through
        "source": source,
        "line": record.line,
        "reason": error.reason,
        "text": text,
        "meta": json.dumps(error.evidence, sort_keys=True, default=str),
    }


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows sorted by id. Given ids are content digests: the first copy keeps it, the others get one of their own."""
    frame = frame.sort("row_id", "meta", "source", "line")
    copies = frame.select("row_id", copy=pl.int_range(pl.len()).over("row_id"))
    ids = [digest_bytes(f"{digest}:{copy}".encode()) if copy else digest for digest, copy in copies.iter_rows()]
    return frame.with_columns(row_id=pl.Series(ids, dtype=pl.String)).sort("row_id")
