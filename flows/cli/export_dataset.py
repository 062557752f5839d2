"""`assay export`: a curated dataset in the format of another trainer, and what was written, in a line."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.cli.summary import shown
from flows.recipe import load_recipe
from tasks.core.errors import DataError
from tasks.core.handle import CURATED, Handle
from tasks.core.process import terminal
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.curation.export import export


def export_recipe(recipe: str, dataset: Handle, format: str, out: Path) -> None:
    """Write what a recipe's curation left. dataset: made by account."""
    _tell(export(dataset.frame(CURATED), format, out, load_recipe(recipe).rows_are), out)


def export_file(curated: Path, kind: str, format: str, out: Path) -> None:
    """Write the rows of a curated.parquet. Raises DataError when it is none."""
    try:
        columns = set(pl.read_parquet_schema(curated))
    except (OSError, pl.exceptions.PolarsError):
        columns = set()
    if not ROW_SCHEMA.keys() - {"calls"} <= columns:  # which runs before there were tool calls did not write
        raise DataError(
            f"{curated} holds no curated rows.",
            where="assay export DATA",
            allowed="a recipe, or the curated.parquet of a run",
            todo="`assay curate` prints where it lies",
        )
    _tell(export(pl.read_parquet(curated), format, out, KINDS[kind]), out)


def _tell(written: dict[str, int], out: Path) -> None:
    counts = ", ".join(f"{name} {rows:,}" for name, rows in written.items())
    terminal.console().print(f"  [bold]{'written':<11}[/]{shown(out)} ({counts})", highlight=False)
