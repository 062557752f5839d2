"""What the training benchmark trains on: the example's hand-written rows and its base model, as the flow would hand
them on.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl

from flows.recipe import Recipe
from tasks.core.handle import CURATED, FACTS, Handle
from tasks.core.home import TOLD, home_folder
from tasks.core.process.progress import Progress
from tasks.core.work import StepDirs, StepResult
from tasks.model.base_model import find_model
from tasks.model.chat_template import Message
from tasks.training.fetch import fetch


def base_model(recipe: Recipe) -> Handle:
    """The recipe's base model, fetched once and kept below ASSAY_HOME."""
    found = find_model(recipe.base_model, recipe.folder)
    folder = home_folder("benchmarks") / f"base-{found.digest[:16]}"
    if not (folder / FACTS).exists():
        folder.mkdir(exist_ok=True)
        leave(folder, fetch(StepDirs(folder, folder, Progress("fetch")), settings=recipe.base_model, found=found))
    return Handle.of(folder, step="fetch", kind="model", digest=found.digest)


def leave(folder: Path, made: StepResult) -> None:
    """Write what a step says of itself beside its output, as the step wrapper does; the facts last:
    they mark it whole.
    """
    (folder / TOLD).write_text(json.dumps(made.told))
    (folder / FACTS).write_text(json.dumps(made.facts))


def conversations(recipe: Recipe, count: int) -> list[list[Message]]:
    """`count` of the example's written rows as messages, spread evenly over its intents."""
    rows = [row for file in sorted((recipe.folder / "written").glob("*.tsv")) for row in _read(file)]
    return [_messages(rows[i * len(rows) // count]) for i in range(count)]


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [{"intent": file.stem, **row} for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]


def _messages(row: dict[str, str]) -> list[Message]:
    answer = json.dumps({key: row[key] for key in ("intent", "urgency", "reply")}, ensure_ascii=False)
    return [{"role": "user", "content": row["message"]}, {"role": "assistant", "content": answer}]


def dataset(messages: list[list[Message]], folder: Path) -> Handle:
    """The rows as the flow's curated dataset, all of them for training."""
    rows: list[dict[str, Any]] = [
        {"row_id": f"{i:064d}", "source": "written", "line": i, "messages": turns, "meta": "{}", "split": "train"}
        for i, turns in enumerate(messages)
    ]
    folder.mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(folder / CURATED)
    return Handle.of(folder, step="account", kind="dataset", digest="", rows=len(rows))
