"""Read records from a file's bytes: JSONL, JSON, CSV, TSV, Parquet and Arrow, each also compressed with gzip or zstd.

A record that cannot be read comes out with a reason in the place of a value, so that it can be quarantined; only a
file that cannot be trusted as a whole is an error. Lines are counted from 1: in JSONL, CSV and TSV the line of the file
that a record begins on, elements in JSON, rows in Parquet and Arrow. Blank lines in JSONL, CSV and TSV are no records,
wherever they stand. What a table says of its values (class labels, JSON, bytes) is heeded: dataset_features.py.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import polars as pl
import polars.selectors as cs

from tasks.data.compression import GZIP, ZSTD, check_parquet, unpacked
from tasks.data.dataset_features import RepeatedKeyError, decoders, features_in, parse_json
from tasks.data.delimited import read_csv, read_tsv
from tasks.data.formats.adapter import recognised
from tasks.data.records import Record, refused

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # of what Excel calls Unicode text
PARQUET, ARROW, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"


def read_records(name: str, data: bytes, header: Sequence[str] = (), encoding: str = "") -> Iterator[Record]:
    """All records of a file; name is for its ending and for messages. Raises DataError when none can be had.

    header: the column names of a text table that has none. encoding: a text's; empty for UTF-8, or UTF-16 by its mark.
    """
    data = unpacked(name, data)
    if not data.strip(b" \t\r\n\xef\xbb\xbf"):
        raise refused(name, "is empty", "export it again, or take it out of the recipe")
    kind = _kind(name, data, header)
    if kind in ("parquet", "arrow"):
        if encoding:
            raise refused(name, f"is {kind.title()}, which is no text and has no encoding", "take encoding: out")
        return frame_records(*_table(name, data, kind))
    if kind == "jsonl" and not encoding and not data.startswith(UTF16) and not _begins_a_list(data):
        return read_lines(name, io.BytesIO(data))
    return _text_records(name, kind, _text(name, data, encoding), header)


def _text_records(name: str, kind: str, text: str, header: Sequence[str]) -> Iterator[Record]:
    if kind in TABLES:
        return TABLES[kind](name, text, header)
    if kind == "json":
        return _json(name, text)
    return _list_or_lines(name, text) if text.lstrip().startswith("[") else _jsonl(name, _lines(text))


def is_read_by_line(name: str, head: bytes, header: Sequence[str] = ()) -> bool:
    """Whether a file that begins with `head` is JSONL as it lies, so that each of its lines can be read by itself."""
    packed = head.startswith((GZIP, ZSTD, *UTF16)) or _begins_a_list(head)
    return not packed and bool(head.strip(b" \t\r\n\xef\xbb\xbf")) and _kind(name, head, header) == "jsonl"


def read_lines(name: str, lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of JSONL. lines: as a binary file gives them."""
    return _jsonl(name, _decoded(lines))


def frame_records(frame: pl.DataFrame, features: Mapping[str, Any] | None = None) -> Iterator[Record]:
    """The rows of a table; a missing number (NaN) becomes null, because JSON has no word for it.

    features: what a dataset says of its columns, as datasets writes it in JSON.
    """
    decode = decoders(frame.schema, features or {})
    for number, row in enumerate(frame.with_columns(cs.float().fill_nan(None)).iter_rows(named=True), 1):
        for column, decoded in decode.items():
            row[column] = decoded(row[column])
        yield Record(number, row)


def _kind(name: str, data: bytes, header: Sequence[str]) -> str:
    if data.startswith(PARQUET):
        return "parquet"
    if data.startswith((ARROW, ARROW_STREAM)):
        return "arrow"
    suffixes = [s.lower() for s in PurePosixPath(name).suffixes if s.lower() not in (".gz", ".zst")]
    kind = KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None and header:
        return "tsv"
    if kind is None and data.lstrip()[:1] in (b"{", b"["):
        return "json"
    if kind is None:
        raise refused(name, "is in no format that Assay reads", "export it in one of these, with that ending")
    return kind


def _text(name: str, data: bytes, encoding: str) -> str:
    """Bytes that are not of the encoding become lone surrogates, by which the record that holds them is known later."""
    encoding = encoding or ("utf-16" if data.startswith(UTF16) else "utf-8")
    try:
        return data.decode(encoding, "surrogateescape").removeprefix("\ufeff")
    except UnicodeError as error:
        raise refused(name, f"is not in {encoding} ({error})", "state the encoding it is in") from error


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    """_text line by line: one wide character would make the whole text of a file take twice its
    bytes, or four times.
    """
    for number, line in enumerate(lines):
        yield (
            (line if number else line.removeprefix(codecs.BOM_UTF8))
            .decode("utf-8", "surrogateescape")
            .removesuffix("\n")
        )


def _table(name: str, data: bytes, kind: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A table, and what datasets wrote of its columns into the file; nothing in a file by anybody else."""
    source = io.BytesIO(data)
    try:
        if kind == "parquet":
            check_parquet(name, data)
            return pl.read_parquet(source), features_in(pl.read_parquet_metadata(io.BytesIO(data)))
        read = pl.read_ipc if data.startswith(ARROW) else pl.read_ipc_stream
        return read(source), features_in(_arrow_metadata(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise refused(name, f"is not a readable {kind.title()} file ({error})", "copy or export it again") from error


def _arrow_metadata(data: bytes) -> dict[str, str]:
    import pyarrow as pa

    opened = pa.ipc.open_file if data.startswith(ARROW) else pa.ipc.open_stream
    metadata = opened(pa.BufferReader(data)).schema.metadata or {}
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata.items()}


def _jsonl(name: str, lines: Iterable[str]) -> Iterator[Record]:
    objects = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            record = _json_line(number, line)
            objects += record.value is not None
            yield record
    if not objects:
        raise refused(name, "holds no line that is a JSON object", "check that it is the right file and not cut off")


def _begins_a_list(data: bytes) -> bool:
    return data.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["


def _list_or_lines(name: str, text: str) -> Iterator[Record]:
    """A JSON list under the ending of JSONL, as exports leave it; else lines, of which the first is bad."""
    try:
        rows = parse_json(text)
    except ValueError:
        return _jsonl(name, _lines(text))
    return (_element(number, element) for number, element in enumerate(_rows_in(name, rows), 1))


def _lines(text: str) -> Iterator[str]:
    """One at a time, so that a file is not held twice; not by splitlines, which also splits at U+2028."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _json_line(number: int, line: str) -> Record:
    line = line.rstrip("\r")
    if "\0" in line:
        return Record(number, None, line, "NUL bytes", {"count": line.count("\0")})
    try:
        return _element(number, parse_json(line), line)
    except RepeatedKeyError as error:
        return Record(number, None, line, "a key comes twice", {"key": error.key})
    except ValueError as error:
        at = {"column": error.colno} if isinstance(error, json.JSONDecodeError) else {}
        return Record(number, None, line, "not JSON", {"error": getattr(error, "msg", str(error)), **at})


def _element(number: int, value: Any, text: str = "") -> Record:
    if isinstance(value, dict):
        return Record(number, value, text)
    text = text or json.dumps(value, ensure_ascii=False)
    return Record(number, None, text, "not an object", {"type": type(value).__name__})


def _json(name: str, text: str) -> Iterator[Record]:
    """A list of objects, or an object that holds one. A syntax error spoils the file: after it no row is certain."""
    try:
        value = parse_json(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object after another: JSONL under the wrong ending
            yield from _jsonl(name, _lines(text))
            return
        problem = f"is not JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}"
        raise refused(name, problem, "export it again, or as JSONL, where a bad line costs one row") from error
    except ValueError as error:
        raise refused(name, f"is not JSON: {error}", "export it again") from error
    for number, element in enumerate(_rows_in(name, value), 1):
        yield _element(number, element)


def _rows_in(name: str, value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = _rows_of_columns(value) or ([value] if recognised(value) else _rows_in_object(name, value))
    if not isinstance(value, list) or not any(isinstance(element, dict) for element in value):
        raise refused(name, "holds no JSON object", "write a list of objects")
    return value


def _rows_in_object(name: str, value: dict[str, Any]) -> list[Any]:
    """The one list of objects in it, or objects by their ids: in it ({"17": {...}, "18": {...}}), or below one key."""
    lists = {key: v for key, v in value.items() if isinstance(v, list) and any(isinstance(e, dict) for e in v)}
    if not lists:
        if len(value) > 1 and _are_objects(value):
            return _by_id(value)
        lists = {key: _by_id(v) for key, v in value.items() if isinstance(v, dict) and _are_objects(v)}
    if len(lists) != 1:
        found = f"holds {len(lists)} lists of objects{': ' if lists else ''}{', '.join(lists)}"
        raise refused(name, found, "leave one list, or write the rows as JSONL")
    return next(iter(lists.values()))


def _are_objects(value: dict[str, Any]) -> bool:
    """Whether an object holds rows: objects alone, and not all of them objects of objects, as splits are."""
    rows = list(value.values())
    return all(isinstance(row, dict) for row in rows) and any(not _are_objects(row) for row in rows)


def _by_id(value: dict[str, Any]) -> list[Any]:
    return [{"id": key, **row} for key, row in value.items()]


def _rows_of_columns(value: dict[str, Any]) -> list[Any]:
    """The rows of pandas' to_json, {"prompt": {"0": ..., "1": ...}, "completion": {...}}; empty for anything else."""
    columns = list(value.values())
    if not all(isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns):
        return []
    places = [place for column in columns[:1] for place in column]
    if not all(map(str.isdigit, places)) or all(map(str.isdigit, value)):
        return []
    return [{name: column[place] for name, column in value.items()} for place in places]


TABLES: dict[str, Callable[[str, str, Sequence[str]], Iterator[Record]]] = {"csv": read_csv, "tsv": read_tsv}
