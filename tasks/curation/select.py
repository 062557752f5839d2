"""select: keep a budget of rows that stands for the whole, when there are more than are wanted or can be paid for.

The budget is shared out among the labels (and, if the recipe names a column of meta, that column's values within each):
rare ones are kept whole, the others get equal parts. Within each the method chooses:

cover    rows such that every row has a kept one like it (tasks/similarity/facility_location.py), by words and letters
         of its prompt. Many rows that say much the same get one place between them; a lone oddity gets one only when
         there are places enough.
random   by row_id, which is a sha256: a shuffle that every run repeats.
longest  the longest answers, then the longest prompts. Often recommended; here as a control, like random.

Labels: of classification rows the answer, of sft rows `answer.label` or one of few free-text answers; other sft rows
and preference pairs have none and compete as one. A preference pair is chosen by its prompt and keeps both its answers.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.errors import nearest as nearest_name
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.labels import labelled
from tasks.similarity.facility_location import cover, nearest_chosen
from tasks.similarity.tfidf_vectors import Vectors, text_vectors

BUDGET = "beyond the row budget"
SHOWN_CHARACTERS = 80  # of a label or a slice in the evidence
DIMENSIONS = 128  # of the vectors; 64 chose worse on Banking77 (by up to four points), 256 no better


class SelectSettings(Settings):
    """How many rows to keep, and how to choose them."""

    # Rows to keep, those that will validate included; 0 keeps all.
    rows: int = Field(default=0, ge=0)
    # On Banking77 a classifier got 76 % right from 308 rows by cover, 61 % from random ones, 49 % from the longest;
    # from 3,080 rows 87, 85 and 76 %. Where most rows stay, as in the example (600 of 865), cover and random cannot be
    # told apart.
    method: Literal["cover", "random", "longest"] = "cover"
    # A column of meta whose values are kept apart, a language or a customer say; a row without it is of the value "".
    slice: str = ""


def select(rows: pl.DataFrame, settings: SelectSettings, answer: AnswerSettings, kind: RowKind) -> Outcome:
    """Keep at most `settings.rows` rows.

    Evidence of each row that goes: label and slice (if it has any), rows (that share them), places (that those got),
    budget; by cover also kept (row_id of the kept row most like it) and similarity (cosine of the two prompts' vectors,
    0 to 1).
    """
    if not 0 < settings.rows < rows.height:
        return Outcome(rows, entries("select", []))
    asked = _sliced(rows, settings, labelled(rows, answer, kind))
    found: dict[str, dict[str, Any]] = {}
    vectors = text_vectors(asked["prompt"].to_list(), DIMENSIONS) if settings.method == "cover" else None
    for (label, part, at), places in _places(asked, settings.rows):
        ids = asked["row_id"].gather(at)
        about = {"rows": len(at), "places": places, "budget": settings.rows, **_named(label, part)}
        if vectors is None:
            best = asked[at].sort(_order(settings.method))["row_id"]
            found |= dict.fromkeys(best[places:], about)
        else:
            found |= {row_id: about | twin for row_id, twin in _covered(ids, vectors[at], places).items()}
    gone = pl.col("row_id").is_in(list(found))
    lost = rows.filter(gone).select("row_id", "source", "line").iter_rows(named=True)
    return Outcome(
        rows.filter(~gone), entries("select", [entry(r, "dropped", BUDGET, **found[r["row_id"]]) for r in lost])
    )


Slice = tuple[str | None, str, list[int]]


def _sliced(rows: pl.DataFrame, settings: SelectSettings, asked: pl.DataFrame) -> pl.DataFrame:
    """asked with slice: the value of that column of meta, as text. Raises DataError when no row has the column."""
    if not settings.slice:
        return asked.with_columns(slice=pl.lit(""))
    metas = [json.loads(meta or "{}") for meta in rows["meta"]]
    known = sorted({name for meta in metas for name in meta})
    if settings.slice not in known:
        raise DataError(
            f"No row has a column {settings.slice!r} to keep slices of.",
            where="select.slice of the recipe, and the columns beside the messages in data.train",
            allowed=", ".join(known) or "nothing: no row has further columns, so leave select.slice out",
            todo=nearest_name(settings.slice, known) or "name a column that the data has",
        )
    values = [str(meta.get(settings.slice) or "") for meta in metas]
    return asked.join(rows.select("row_id").with_columns(slice=pl.Series(values)), on="row_id", how="left").sort(
        "row_id"
    )


def _places(asked: pl.DataFrame, budget: int) -> list[tuple[Slice, int]]:
    """Each label and slice with its rows' positions, and its places: the smallest whole, equal parts for the rest."""
    groups = asked.with_row_index("at").group_by("label", "slice").agg(pl.col("at").sort())
    groups = groups.sort(pl.col("at").list.len(), "label", "slice")
    given, left = [], budget
    for done, (label, part, at) in enumerate(groups.iter_rows()):
        places = min(len(at), left // (groups.height - done))
        given.append(((label, part, at), places))
        left -= places
    return given


def _order(method: str) -> list[pl.Expr]:
    length = [-pl.col(name).str.len_chars().cast(pl.Int64) for name in ("answer", "prompt")]
    return [*(length if method == "longest" else []), pl.col("row_id")]


def _named(label: str | None, part: str) -> dict[str, str]:
    named = {"label": label, "slice": part}
    return {name: value[:SHOWN_CHARACTERS] for name, value in named.items() if value}


def _covered(ids: pl.Series, vectors: Vectors, places: int) -> dict[str, dict[str, Any]]:
    """{row that goes: the kept row most like it}."""
    if not places:
        return {row_id: {} for row_id in ids}
    kept = cover(vectors, places)
    who, like = nearest_chosen(vectors, kept)
    gone = np.setdiff1d(np.arange(len(ids)), kept)
    names = ids.to_list()
    return {names[i]: {"kept": names[who[i]], "similarity": round(float(like[i]), 4)} for i in gone}
