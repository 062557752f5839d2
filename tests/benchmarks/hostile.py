"""dedupe and conflicts on rows that are meant to break them: `python -m tests.benchmarks.hostile SHAPE ROWS FOLDER`.

Writes FOLDER/told.json: by step the rows kept, the seconds, and the peak bytes of the process so far.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.ledger import Outcome
from tasks.core.row_kind import CLASSIFICATION
from tasks.curation.conflicts import ConflictSettings, conflicts
from tasks.curation.dedupe import DedupeSettings, dedupe
from tasks.metrics.answer_schema import AnswerSettings
from tests.benchmarks.finders import peak

NOTICE = (
    "dear {} your ticket is closed and if you think that this is wrong then please reply within seven days and {} we "
    "look "
    "again at what happened with your order and parcel so that it is {} soon settled"
)


def signature(rows: int, _: random.Random) -> list[str]:
    """One shingle in every row."""
    return [
        f"question{i} on thing{i % 997} and part{i % 1009} at shop{i % 991} kind regards from us all"
        for i in range(rows)
    ]


def copies(rows: int, _: random.Random) -> list[str]:
    return ["the same message with seven words here"] * rows


def variants(rows: int, draw: random.Random) -> list[str]:
    """One text with three words changed: everything is like nearly everything, and no two are quite the same."""
    return [NOTICE.format(*(f"w{draw.randrange(300)}" for _ in range(3))) for _ in range(rows)]


def large(rows: int, _: random.Random) -> list[str]:
    """One row of 10 MB among short ones."""
    return [" ".join(str(i) for i in range(1_450_000)), *(f"short text number {i}" for i in range(1, rows))]


def empty(rows: int, _: random.Random) -> list[str]:
    return [""] * rows


SHAPES: dict[str, Callable[[int, random.Random], list[str]]] = {
    shape.__name__: shape for shape in (signature, copies, variants, large, empty)
}


def frame(prompts: list[str], labels: list[str]) -> pl.DataFrame:
    said = [pl.struct(role=pl.lit(role), content=name) for role, name in (("user", "prompt"), ("assistant", "label"))]
    texts = pl.DataFrame({"prompt": prompts, "label": labels}).with_row_index("line", 1)
    return texts.select(
        row_id=pl.col("line").cast(pl.String).str.zfill(9),
        source=pl.lit("a.csv"),
        line=pl.col("line").cast(pl.Int64),
        messages=pl.concat_list(said),
        rejected=pl.lit(None, pl.String),
        weights=pl.lit(None, pl.List(pl.Float64)),
        meta=pl.lit("{}"),
    )


def main(shape: str, rows: str, folder: str) -> None:
    draw, kind = random.Random(0), CLASSIFICATION
    prompts = SHAPES[shape](int(rows), draw)
    # One label in a hundred is wrong.
    given = frame(prompts, ["refund" if draw.random() < 0.01 else "notice" for _ in prompts])
    told: dict[str, dict[str, Any]] = {}
    steps: dict[str, Callable[[], Outcome]] = {
        "dedupe": lambda: dedupe(given, DedupeSettings(), kind),
        "conflicts": lambda: conflicts(given, ConflictSettings(), AnswerSettings(), kind),
    }
    for name, step in steps.items():
        started = time.monotonic()
        kept = step().kept.height
        told[name] = {"kept": kept, "seconds": time.monotonic() - started, "peak": peak()}
    (Path(folder) / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
