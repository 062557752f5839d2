"""Gather the records that are only parts of rows (base.Parts), until all files are read and their rows can be made.

A part is held as long as any record may still come that belongs to the same row, so a file of them is held as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tasks.core.row_kind import RowKind
from tasks.data.formats.adapter import AUTO, Adapter, Reading, adapter, in_lower_case
from tasks.data.formats.base import Format, Parts
from tasks.data.formats.catalog import FORMATS
from tasks.data.formats.messages import UnadaptedError
from tasks.data.records import Record

IN_FILES = "its conversation goes on in another file"


@dataclass
class Row:
    """A row on its way: the file it is of, its parts, and what reads the record they make. elsewhere: the other files
    that have parts of it, as far as their columns are the same ones.
    """

    source: str
    parts: list[Record]
    join: Callable[[Sequence[dict[str, Any]]], dict[str, Any]]
    adapt: Adapter
    elsewhere: list[str]

    def record(self) -> Record:
        """The row's record, on the first of their lines. Raises UnadaptedError where they do not make one."""
        if self.elsewhere:
            raise UnadaptedError(IN_FILES, files=self.elsewhere)
        parts = [in_lower_case(part.value or {}) for part in self.parts]
        names = {key.strip().lower(): key for part in self.parts for key in part.value or {}}
        joined = self.join([{name: part.get(name) for name in names} for part in parts])
        named = {names.get(name, name): value for name, value in joined.items()}  # as they came
        return Record(min(part.line for part in self.parts), named)


class _File:
    """The parts of a file, by the row they are of. columns: all that its records have."""

    def __init__(self, source: str, reading: Reading, kind: RowKind) -> None:
        self.source, self.reading, self.kind = source, reading, kind
        self.rows, self.columns, self.sure = dict[Hashable, list[Record]](), set[str](), False
        self.format = next((one for one in FORMATS if one.parts and reading.format in (AUTO, one.name)), None)
        if reading.columns or reading.text or not kind.is_conversation:
            self.format = None
        self._asked = lru_cache(maxsize=1024)(self._ask)

    def take(self, record: Record) -> bool:
        """Take a record that is a part, and say so. Raises UnadaptedError for one that is of no row."""
        parts = self.format and self.format.parts
        if not parts or not record.value:
            return False
        may, sure, others = self._asked(parts, tuple(record.value))
        if not may or any(_reads(format, record.value, self.kind) for format in others):
            return False
        part = in_lower_case(record.value)
        self.rows.setdefault(parts.key(part), []).append(record)
        self.columns.update(part)
        self.sure = self.sure or sure
        return True

    def _ask(self, parts: Parts, keys: tuple[str, ...]) -> tuple[bool, bool, list[Format]]:
        """Whether a record of these keys may be a part, whether it surely is one, and what else it might be."""
        names = frozenset(key.strip().lower() for key in keys)
        others = [one for one in FORMATS if one is not self.format and self.reading.format == AUTO]
        open_to = [one for one in others if any(s.kind == self.kind and s.may_be(names) for s in one.shapes)]
        return parts.may_be(names), parts.is_one(names), open_to


class Gathering:
    """The parts of rows from all files of a run."""

    def __init__(self, kind: RowKind) -> None:
        self._kind = kind
        self._files: list[_File] = []

    def taker(self, source: str, reading: Reading) -> Callable[[Record], bool]:
        """A function for the records of a file, which takes one that is a part, and says so."""
        self._files.append(_File(source, reading, self._kind))
        return self._files[-1].take

    def rows(self) -> Iterator[Row]:
        """All rows that parts were taken of. In a file without a record that surely is a part, each is its own row."""
        for file in self._files:
            if file.sure and file.format and file.format.parts:
                adapt = adapter(file.reading.model_copy(update={"format": file.format.name}), self._kind)
                for key, records in file.rows.items():
                    yield Row(file.source, records, file.format.parts.join, adapt, self._elsewhere(file, key))
            else:
                alone = adapter(file.reading, self._kind)
                yield from (Row(file.source, [one], _itself, alone, []) for rows in file.rows.values() for one in rows)

    def _elsewhere(self, file: _File, key: Hashable) -> list[str]:
        """Other files with parts of this row: files of the same columns, as the pages of one export are."""
        others = [other for other in self._files if other is not file and key in other.rows]
        return sorted(other.source for other in others if other.columns == file.columns)


def _itself(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return parts[0]


def _reads(format: Format, record: dict[str, Any], kind: RowKind) -> bool:
    """Whether a record is a row of this format by itself, or is one that cannot be taken."""
    row = in_lower_case(record)
    try:
        return any(s.kind == kind and s.may_be(frozenset(row)) and s.read(row) is not None for s in format.shapes)
    except UnadaptedError:
        return True
