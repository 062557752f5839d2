"""Format: a format of other tools' files. It has shapes of records that it reads, a writer, or both.

A format is one file beside this one that ends in `FORMAT = Format(...)`, and one line in catalog.py. alpaca.py is a
short one that is read and written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.row import Message
from tasks.core.row_kind import SFT, RowKind

Record = dict[str, Any]  # as the other tool has it
Row = dict[str, Any]  # as in ROW_SCHEMA


@dataclass
class Shaped:
    """What a record holds. used: the lower-case keys it was taken from. fields: other keys found
    on its messages, for the row's meta.
    """

    messages: list[Message]
    used: set[str]
    rejected: str | None = None
    weights: list[float] | None = None
    calls: list[str | None] | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """One shape of records, and the kind of the rows that are read from it.

    keys: sets of lower-case keys, of which a record must have one to be of this shape at all. read: from a record with
    lower-case keys; None lets the next shape try; raises UnadaptedError (messages.py), which quarantines the record.
    """

    keys: tuple[frozenset[str], ...]
    read: Callable[[Record], Shaped | None]
    kind: RowKind = SFT

    def may_be(self, names: frozenset[str]) -> bool:
        """Whether a record of these keys can be of this shape."""
        return any(keys <= names for keys in self.keys)


@dataclass(frozen=True)
class Parts:
    """How records of which each is only a part of a row become a record of it (gathering.py).

    may_be, is_one: whether a record of these lower-case names may be such a part (where others of its file are), and
    whether it is one. key: of one, what the parts of its row share. join: the record of a row, which the format's
    shapes then read, from its parts in the order of the file, all with the same names. Both raise UnadaptedError, join
    for all of the parts.
    """

    may_be: Callable[[Collection[str]], bool]
    is_one: Callable[[Collection[str]], bool]
    key: Callable[[Record], Hashable]
    join: Callable[[Sequence[Record]], Record]


class UnheldError(ValueError):
    """Why a format cannot hold a row, in words that follow the row's id: "has ...", "is ..."."""


@dataclass(frozen=True)
class Writer:
    """How rows are written.

    record: a row as the format has it; raises UnheldError for one that the format cannot hold. files: writes the
    records of each split into an empty folder. has_weights: whether conversations with weights have a place in it.
    """

    record: Callable[[Row, RowKind], Record]
    files: Callable[[dict[str, list[Record]], Path], None]
    has_weights: bool = False


@dataclass(frozen=True)
class Format:
    """A format by its name in a recipe (`data: [{format: ...}]`) and on the command line (`assay export --format`).

    shapes: what is read as it, in the order in which they are tried. writer: None where it is only read. parts: where a
    row lies in several records.
    """

    name: str
    shapes: tuple[Shape, ...] = ()
    writer: Writer | None = None
    parts: Parts | None = None
