"""Rows in batches: what is read, judged and written some rows at a time takes the memory of a batch, not of the data.

    @row_by_row()                                # a step that decides each row independently
    def clean(rows, settings) -> Outcome: ...    # is given one batch after another, and stays a plain function

A step that must know something of all rows before it can judge the first one (how answers end here, say) names the
function that learns it: it is given the batches too, and what it returns becomes inputs of the step.

Files are written in row groups of one size, whatever the batches were: the same rows are the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import polars as pl

from tasks.core.ledger import LedgerError, Outcome

# Rows a batch: 40 MB of conversations of a hundred words, several times as much while a step has them as Python
# objects.
BATCH = 50_000
GROUP = 50_000  # rows a row group; other bytes, so other digests, come of another number

Step = TypeVar("Step", bound=Callable[..., Outcome])
Learn = Callable[..., dict[str, Any]]
_ROW_BY_ROW: dict[Callable[..., Any], Learn] = {}


def _nothing(_batches: Iterable[pl.DataFrame], **_inputs: Any) -> dict[str, Any]:
    return {}


def row_by_row(learn: Learn = _nothing) -> Callable[[Step], Step]:
    """Declare a row step that decides each row independently, by that row and its inputs alone.

    learn: is given the batches in the order of their row ids and the step's other inputs by name, and returns further
    ones.
    """

    def declare(step: Step) -> Step:
        _ROW_BY_ROW[step] = learn
        return step

    return declare


def learning_of(step: Callable[..., Any]) -> Learn | None:
    """What `step` must learn before its first batch; None for a step that compares rows and needs them all at once."""
    return _ROW_BY_ROW.get(step)


def batches(file: Path) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, BATCH at a time; one empty batch where there are none.

    Raises LedgerError unless the row ids ascend: then no row is in two batches, and batches that balance add up to a
    whole.
    """
    scan = pl.scan_parquet(file)
    height, last = scan.select(pl.len()).collect().item(), ""
    for start in range(0, max(height, 1), BATCH):
        rows = scan.slice(start, BATCH).collect()
        ids = pl.concat([pl.Series("row_id", [last], pl.String), rows["row_id"]])
        if not (ids.head(rows.height) < rows["row_id"]).all():
            raise LedgerError(
                f"{file}: row ids do not ascend, or one is there twice. This is a bug in the step that wrote it."
            )
        last = rows["row_id"][-1] if rows.height else last
        yield rows


class Growing:
    """A Parquet file that frames are added to, in row groups of GROUP rows. Half of one that was not closed is
    worthless.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._waiting: list[pl.DataFrame] = []

    def __enter__(self) -> Self:
        return self

    def add(self, frame: pl.DataFrame) -> None:
        """frame: of the same columns as those before it."""
        self._waiting.append(frame)
        if sum(part.height for part in self._waiting) >= GROUP:
            whole = pl.concat(self._waiting)
            full = whole.height // GROUP * GROUP
            for start in range(0, full, GROUP):
                self._write(whole.slice(start, GROUP))
            self._waiting = [whole.slice(full)]

    def _write(self, group: pl.DataFrame) -> None:
        import pyarrow.parquet as pq

        table = group.rechunk().to_arrow()
        self._writer = self._writer or pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table, row_group_size=GROUP)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._waiting and (self._writer is None or any(part.height for part in self._waiting)):
            self._write(pl.concat(self._waiting))
        if self._writer is not None:
            self._writer.close()
