"""Text tables to records: CSV and TSV, with quotes, line breaks inside fields, and the semicolons that Excel writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from tasks.core.records import Record, refused

DELIMITERS = ",;\t|"  # a semicolon is what Excel writes where the comma is the decimal mark
csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long conversations


def read_csv(name: str, text: str) -> Iterator[Record]:
    """The records of a table with a header; the delimiter is the one that is most frequent in its first line."""
    yield from _table(name, text, max(DELIMITERS, key=text.split("\n", 1)[0].count))


def read_tsv(name: str, text: str) -> Iterator[Record]:
    """The records of a tab-separated table with a header."""
    yield from _table(name, text, "\t")


def _table(name: str, text: str, delimiter: str) -> Iterator[Record]:
    lines = _Lines(io.StringIO(text, newline=""))
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    header = _header(name, rows)
    lines.taken()
    number = 0
    for fields, raw, problem in _records(name, rows, lines):
        if fields or problem:  # neither: a blank line
            number += 1
            yield _record(number, header, fields, raw, problem)
    if not number:
        raise refused(name, "holds a header and no record", "export it again, or take it out of the recipe")


def _record(number: int, header: list[str], fields: list[str], raw: str, problem: str) -> Record:
    if problem:
        return Record(number, None, raw, "not CSV", {"error": problem})
    if "\0" in raw:
        return Record(number, None, raw, "NUL bytes", {"count": raw.count("\0")})
    if len(fields) != len(header):
        return Record(number, None, raw, "wrong number of fields", {"fields": len(fields), "expected": len(header)})
    return Record(number, dict(zip(header, fields, strict=True)), raw)


class _Lines:
    """Lines on their way to the csv module, remembered until `taken`, so that a bad record can be shown as it stood."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self._held = iter(lines), list[str]()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._held.append(next(self._lines))
        self.number += 1
        return self._held[-1]

    def taken(self) -> str:
        held, self._held = "".join(self._held).rstrip("\r\n"), []
        return held


def _header(name: str, rows: Iterator[list[str]]) -> list[str]:
    """Column names, made unique: an unnamed column becomes column_3, a second `note` becomes note_2."""
    try:
        names = [cell.strip() for cell in next(rows)]
    except (StopIteration, csv.Error):
        names = []
    joined = "".join(names)
    if len(names) < 2 or not joined.isprintable():
        raise refused(name, "does not begin with a line of column names", "check that it is a text table with a header")
    header: list[str] = []
    for place, column in enumerate(names, 1):
        column = column or f"column_{place}"
        header.append(f"{column}_{header.count(column) + 1}" if column in header else column)
    return header


def _records(name: str, rows: Iterator[list[str]], lines: _Lines) -> Iterator[tuple[list[str], str, str]]:
    """(fields, text, problem) of each record; the csv module starts afresh after a broken one."""
    while True:
        first = lines.number + 1
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):  # from here on nobody can say what is a row
                problem = f"has a quote in the record that starts at line {first} which is never closed"
                raise refused(name, problem, "close it, or export again") from error
            yield [], lines.taken(), str(error)
        else:
            yield fields, lines.taken(), ""


