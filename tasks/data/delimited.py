"""Read text tables: CSV and TSV, with quotes, line breaks inside fields, and the semicolons that Excel writes.

Some write TSV with quotes, some hold that TSV has none. A file whose lines fit as they stand, and would break or run
into each other if its quotes were taken for quotes, has none: else messages that begin with a quote would be lost.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

from tasks.core.errors import DataError
from tasks.data.records import Record, refused

DELIMITERS = ",;\t|"  # a semicolon is what Excel writes where the comma is the decimal mark
_SEPARATOR = re.compile(r'"?sep=(.)"?[ \t]*\r?\n', re.I)
_NAME = re.compile(r"\w[\w .-]{0,39}(?<![ .])")  # of a table's only column, which a sentence is none of
csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long conversations


def read_csv(name: str, text: str, header: Sequence[str] = ()) -> Iterator[Record]:
    """The records of a table. header: its column names, if it has no line of them.

    The delimiter is the one that the file states (Excel's line sep=;), or the most frequent one in the first line, or
    that which cuts it into as many fields as there are names.
    """
    if stated := _SEPARATOR.match(text):
        yield from _table(name, text[stated.end() :], stated[1], header, before=1)
        return
    first = text.split("\n", 1)[0].rstrip("\r")
    fits = {mark for mark in DELIMITERS if header and len(next(csv.reader([first], delimiter=mark), [])) == len(header)}
    yield from _table(name, text, max(DELIMITERS, key=lambda mark: (mark in fits, first.count(mark))), header)


def read_tsv(name: str, text: str, header: Sequence[str] = ()) -> Iterator[Record]:
    """The records of a tab-separated table. header: its column names, if it has no line of them."""
    yield from (_plain if _without_quotes(name, text, header) else _table)(name, text, "\t", header)


def _table(name: str, text: str, delimiter: str, header: Sequence[str], before: int = 0) -> Iterator[Record]:
    """before: lines of the file that stand before the text."""
    lines = _Lines(io.StringIO(text, newline=""), before)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    columns = list(header) or _header(name, rows)
    lines.taken()
    any_read = False
    for line, fields, raw, problem in _records(name, rows, lines):
        if fields or problem:  # neither: a blank line
            any_read = True
            yield _record(line, columns, fields, raw, problem)
    if not any_read:
        raise refused(name, "holds a header and no record", "export it again, or take it out of the recipe")


def _plain(name: str, text: str, delimiter: str, header: Sequence[str]) -> Iterator[Record]:
    lines = _nonblank(text)
    first = [line for _, line in lines[:1]]
    columns = list(header) or _header(name, csv.reader(first, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    for number, line in lines if header else lines[1:]:
        yield _record(number, columns, line.split(delimiter), line, "")


def _without_quotes(name: str, text: str, header: Sequence[str]) -> bool:
    if '"' not in text:
        return False
    lines = _nonblank(text)
    fields = len(header) or lines[0][1].count("\t") + 1
    odd = sum(line.count("\t") + 1 != fields for _, line in lines)
    try:
        records = [record.reason != "" for record in _table(name, text, "\t", header)]
    except DataError:  # a quote that is never closed, or no header
        return odd == 0
    joined = len(records) != len(lines) - (not header)
    return odd < sum(records) or (odd == 0 and joined and fields > 1)  # in one column every line fits


def _nonblank(text: str) -> list[tuple[int, str]]:
    """(number in the file, line) of the lines that hold something."""
    return [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip("\r")]


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

    def __init__(self, lines: Iterable[str], before: int) -> None:
        self._lines, self._held = iter(lines), list[str]()
        self.number = before

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
        names = [" ".join(cell.split()) for cell in next(rows)]  # a name may stand on two lines
    except (StopIteration, csv.Error):
        names = []
    if re.search("[\udc80-\udcff]", "".join(names)):
        raise refused(name, "is not UTF-8 in its line of column names", "export it as UTF-8, or state its encoding")
    if not (_NAME.fullmatch(names[0]) if len(names) == 1 else names and "".join(names).isprintable()):
        raise refused(name, "does not begin with a line of column names", "check that it is a text table with a header")
    header: list[str] = []
    for place, column in enumerate(names, 1):
        column = column or f"column_{place}"
        header.append(f"{column}_{header.count(column) + 1}" if column in header else column)
    return header


def _records(name: str, rows: Iterator[list[str]], lines: _Lines) -> Iterator[tuple[int, list[str], str, str]]:
    """(line it begins on, fields, text, problem) of each record; the csv module starts afresh after a broken one."""
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
            yield first, [], lines.taken(), str(error)
        else:
            yield first, fields, lines.taken(), ""
