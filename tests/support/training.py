"""What tests of training and prediction share: a tiny base model, a few rows, and handles on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.handle import CURATED, FACTS, ROWS, Handle
from tasks.core.home import TOLD, digest_path
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.work import StepDirs
from tests.support.tiny_model import CONTEXT, tiny_model

INTENTS = ("order_status", "refund", "damaged_item", "other")
QUESTIONS = ("Where is parcel {n}?", "I want {n} euros back", "Lamp {n} is broken", "Hello {n} there, and thanks")


def rows(train: int, validation: int = 0) -> pl.DataFrame:
    """Curated rows: four questions in turn, each with one answer."""
    made: list[dict[str, Any]] = []
    for n in range(train + validation):
        said = {"user": QUESTIONS[n % 4].format(n=n), "assistant": json.dumps({"intent": INTENTS[n % 4]})}
        messages = [{"role": role, "content": content} for role, content in said.items()]
        split = "train" if n < train else "validation"
        row = {"row_id": f"{n:012d}" + "0" * 52, "source": "a.jsonl", "line": n + 1, "messages": messages, "meta": "{}"}
        made.append({**row, "split": split})
    return pl.DataFrame(made, schema={**ROW_SCHEMA, "split": pl.String})


def dataset_handle(folder: Path, frame: pl.DataFrame) -> Handle:
    return _handle(folder, "dataset", frame, CURATED)


def rows_handle(folder: Path, frame: pl.DataFrame) -> Handle:
    return _handle(folder, "rows", frame, ROWS)


def _handle(folder: Path, kind: str, frame: pl.DataFrame, name: str) -> Handle:
    folder.mkdir(parents=True)
    frame.write_parquet(folder / name)
    return _kept(folder, kind, {}, frame.height)


def base_handle(folder: Path) -> Handle:
    """A tiny model with the texts of `rows` in its tokenizer, as fetch leaves one."""
    folder.mkdir(parents=True)
    tiny_model(folder / "model", [*QUESTIONS, *INTENTS, '{"intent": "'])
    return _kept(folder, "model", {"digest": "0" * 64, "parameters": 1, "context": CONTEXT})


def _kept(folder: Path, kind: str, facts: dict[str, Any], rows: int = 0) -> Handle:
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / TOLD).write_text("{}")
    return Handle.of(folder, step=kind, kind=kind, digest=digest_path(folder), rows=rows)


def place(folder: Path) -> StepDirs:
    """Where a step works; the same folder again is the same work again."""
    made = StepDirs(folder / "out", folder / "scratch", Progress("work"))
    for path in (made.out, made.scratch):
        path.mkdir(parents=True, exist_ok=True)
    return made
