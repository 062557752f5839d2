"""Record: one record of a file, readable or not; and the error for a file that cannot be used as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tasks.core.errors import DataError

READABLE = ".jsonl, .json, .csv, .tsv, .parquet, .arrow, each also .gz or .zst; a folder of datasets.save_to_disk"


@dataclass(slots=True)
class Record:
    """value: the object, None when it could not be read. text: as it stood; empty when the value says it all."""

    line: int
    value: dict[str, Any] | None
    text: str = ""
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


def refused(name: str, problem: str, todo: str) -> DataError:
    """The error for a file that cannot be used as a whole."""
    return DataError(f"{name} {problem}.", where=name, allowed=READABLE, todo=todo)
