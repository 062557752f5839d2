"""Ask champion: what the registered version that a new model would replace answers to today's holdout and edge cases.

It is asked with the code that it was packaged with, in a process of its own (tasks/registry/loaded_version.py), so what
is compared is what is served today. Its scores of when it was registered would not do: the holdout may have other rows
since.
"""

from __future__ import annotations

import time
from typing import Any

import polars as pl

from tasks.core.handle import Handle
from tasks.core.row import tools_of, turns
from tasks.core.variants import CHAMPION
from tasks.core.work import StepDirs, StepResult
from tasks.facts.predictions import PREDICTIONS, PredictionFacts
from tasks.metrics.reference import ModelAnswer
from tasks.model.chat_template import question
from tasks.registry import mlflow_client
from tasks.registry.compared_champion import ComparedVersion, fetch_compared
from tasks.registry.loaded_version import LoadedVersion

BATCH = 32  # rows a request: as many as are decoded together


def ask_champion(
    place: StepDirs, *, settings: ComparedVersion, holdout: Handle, edge_cases: Handle | None = None
) -> StepResult:
    """Leaves predictions.parquet as `predict` does, without the counts of tokens. What the version refuses to answer is
    an empty answer.

    Raises PromotionError, RegistrationError, VersionError where it cannot be loaded or asked; OutsideError while MLflow
    or the source of its base model does not answer.
    """
    sets = {"holdout": holdout, **({"edge_cases": edge_cases} if edge_cases else {})}
    rows = pl.concat([handle.frame().with_columns(set=pl.lit(name)) for name, handle in sets.items()], how="diagonal")
    title, started = f"{settings.name} version {settings.version}", time.monotonic()
    place.progress(0.02, f"loading {title}")
    given = _answers(place, settings, rows)
    refused = [why for _, why in given if why]
    texts = pl.Series("answer", [said.text if said else "" for said, _ in given], pl.String)
    calls = pl.Series("calls", [said.calls if said else None for said, _ in given], pl.String)
    frame = rows.select("row_id", "set").with_columns(texts, calls)
    frame.sort("set", "row_id").write_parquet(place.out / PREDICTIONS)
    seconds = time.monotonic() - started
    line = f"{title}: {rows.height:,} answers in {seconds:.0f} s"
    line += f"; it refuses {len(refused):,} of them, the first: {refused[0]}" if refused else ""
    facts = PredictionFacts(variant=CHAMPION)
    return StepResult("predictions", line, facts.written(), rows=rows.height, told={"seconds": seconds})


def _answers(place: StepDirs, champion: ComparedVersion, rows: pl.DataFrame) -> list[tuple[ModelAnswer | None, Any]]:
    """(answer, why there is none) of each row, in order."""
    given: list[tuple[ModelAnswer | None, Any]] = []
    folder = fetch_compared(champion, place.scratch / "champion")
    with mlflow_client.outside("load the champion"), LoadedVersion(folder) as model:
        for some in rows.iter_slices(BATCH):
            asked = [(question(turns(row)), tools_of(row["meta"])) for row in some.iter_rows(named=True)]
            given += model.answers_or_reasons(asked)
            place.progress(len(given) / rows.height, f"champion: {len(given):,} of {rows.height:,} answered")
    return given
