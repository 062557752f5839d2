"""Facts that come from comparing rows with rows: what the steps dedupe, conflicts and decontaminate would let go of.

A contract counts what the steps count, by the same code (tasks/relations/duplicates.py, contradictions.py, leakage.py)
and with the recipe's own settings: a row that a step cleared is no fault, and one that it would not clear is. Each fact
is the row_id of the other row, null where there is none; it does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from tasks.core.batches import batches
from tasks.core.row_kind import RowKind
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.contradictions import ContradictionSettings, contradicting
from tasks.relations.duplicates import DuplicateSettings, comparison_by, duplicate_rows
from tasks.relations.leakage import leaks
from tasks.similarity.heldout_ngrams import LeakSettings


@dataclass(frozen=True)
class RelationSettings:
    """When rows are the same, contradict each other, or leak: what the recipe tells the steps."""

    duplicates: DuplicateSettings = field(default_factory=DuplicateSettings)
    contradictions: ContradictionSettings = field(default_factory=ContradictionSettings)
    leaks: LeakSettings = field(default_factory=LeakSettings)


@dataclass(frozen=True)
class StepInput:
    """The rows that a step was given before those that are checked. file: Parquet, sorted by row_id.

    removed: row_id and other, those that the step let go of, by the settings that the contract counts with; None: not
    known.
    """

    file: Path
    removed: pl.DataFrame | None = None

    def rows(self) -> pl.DataFrame:
        return pl.read_parquet(self.file)

    def answer_for(self, rows: pl.DataFrame, name: str) -> pl.Series | None:
        """The fact of each of `rows` (sorted by row_id), where the step's own answer is the answer to what is asked of
        them.

        It is if none of them is new or has changed since: then the rows that are compared, `_among` them all, are the
        step's.
        """
        return _named(rows, self.removed, name) if self.removed is not None and self._has(rows) else None

    def _has(self, rows: pl.DataFrame) -> bool:
        """Whether each of `rows` is in the file, word for word."""
        done = 0
        for part in batches(self.file):
            next_ids = rows.slice(done, part.height).select("row_id")  # as many as there could be in this part
            same = part.join(next_ids, on="row_id", how="semi").sort("row_id")
            if not same.equals(rows.slice(done, same.height).select(same.columns)):
                return False
            done += same.height
        return done == rows.height


def duplicate_of(
    rows: pl.DataFrame,
    of: Literal["prompt", "answer", "pair"],
    settings: DuplicateSettings,
    answer: AnswerSettings,
    kind: RowKind,
) -> pl.Series:
    """For each row that dedupe would let go of if it compared by `of`, the row that would stay for it; else null."""
    found = duplicate_rows(rows, [comparison_by(of, getattr(settings, of), kind)], answer, kind)
    return _named(rows, found.select("row_id", other="kept"), f"{of}_twin")


def contradicts(
    rows: pl.DataFrame,
    settings: ContradictionSettings,
    answer: AnswerSettings,
    kind: RowKind,
    step_rows: pl.DataFrame | None = None,
) -> pl.Series:
    """For each row that conflicts would hold back, the row it contradicts, or itself where both its answers are the
    same.

    step_rows: the rows that conflicts was given, whose votes and words cleared `rows`; None where there are no others.
    """
    found = contradicting(_among(rows, step_rows), settings, answer, kind)
    others = {row_id: about.get("partner", row_id) for row_id, (_, about) in found.items()}
    pairs = pl.DataFrame([list(others), list(others.values())], schema={"row_id": pl.String, "other": pl.String})
    return _named(rows, pairs, "conflicts_with")


def leaked_from(
    rows: pl.DataFrame,
    heldout: Sequence[pl.DataFrame],
    settings: LeakSettings,
    answer: AnswerSettings,
    kind: RowKind,
    step_rows: pl.DataFrame | None = None,
) -> pl.Series:
    """For each row that decontaminate would let go of, the held-out row that it meets; else null.

    heldout: the holdout, the edge cases, benchmarks. step_rows: the rows that decontaminate was given, which
    tell what many write.
    """
    found = leaks(_among(rows, step_rows), [one for one in heldout if not one.is_empty()], settings, answer, kind)
    return _named(rows, found.select("row_id", other="match"), "leaked_from")


def _among(rows: pl.DataFrame, step_rows: pl.DataFrame | None) -> pl.DataFrame:
    """rows, and those of `step_rows` that are not among them. A row that was changed since is as it is in `rows`."""
    if step_rows is None:
        return rows
    return pl.concat([rows.select(step_rows.columns), step_rows.join(rows, on="row_id", how="anti")]).sort("row_id")


def _named(rows: pl.DataFrame, found: pl.DataFrame, name: str) -> pl.Series:
    """found (row_id, other) in the order of `rows`."""
    every = rows.select("row_id").join(found, on="row_id", how="left", maintain_order="left")
    return every["other"].alias(name)
