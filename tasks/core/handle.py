"""A handle: all that travels between tasks. Data stays in files; a handle says which, and proves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.core.home import TOLD, home

ROWS, LEDGER, QUARANTINE, FACTS = "rows.parquet", "ledger.parquet", "quarantine.parquet", "facts.json"
CURATED = "curated.parquet"  # the dataset's rows: ROW_SCHEMA and `split` (train or validation)
REFERENCE = "reference.parquet"  # a fair draw of the rows that passed the steps which judge each row alone


class Handle(BaseModel):
    """What a step made: a folder (or a source file) with its sha256 digest and its number of rows.

    step: the step that made it, or `source` for a raw file. kind: rows, model, adapter, predictions, ...
    path: relative to ASSAY_HOME where it lies inside, so that a home folder can be moved.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    kind: str
    path: str
    digest: str
    rows: int = 0

    @classmethod
    def of(cls, path: Path, *, step: str, kind: str, digest: str, rows: int = 0) -> Handle:
        inside = path.is_relative_to(home())
        return cls(
            step=step, kind=kind, path=str(path.relative_to(home()) if inside else path), digest=digest, rows=rows
        )

    @property
    def folder(self) -> Path:
        return home() / self.path  # an absolute path stays itself

    def frame(self, name: str = ROWS) -> pl.DataFrame:
        """A Parquet file of this artifact."""
        return pl.read_parquet(self.folder / name)

    @property
    def line(self) -> str:
        """The step's own words on its result; empty where it had none."""
        return str(self.facts().get("line", ""))

    def facts(self) -> dict[str, Any]:
        """The small numbers that the step left beside its data: those of its digest and those that were only told.

        Read them by the model of their kind, as `Scores.of(handle)` (tasks/facts); this is for all kinds alike.
        """
        texts = [(self.folder / name).read_text() for name in (FACTS, TOLD)]
        facts, told = (json.loads(text) for text in texts)
        return {**told, **facts}
