"""decontaminate: training rows go that hold what the model will be judged on: the holdout, the edge cases, a benchmark.

A row goes if its prompt is the same as a judging row's or nearly so, if one of the two stands inside the other, or if its
answer holds a judging row's answer (tasks/core/contamination.py: how, and why wording that many rows share is no leak).
The system message does not count: what judges is not to be seen under any.

    sft             prompts, and everything that the assistant says in training against the judging rows' answers. Of answers
                    that are JSON the free text is compared: no keys, and not the fields that are labels or graded.
    preference      prompts, and both answers on both sides: whichever is preferred, it was read
    classification  texts only: everybody has the labels
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.answer import AnswerSettings, parse
from tasks.core.contamination import Contamination
from tasks.core.errors import DataError
from tasks.core.judging import Measure
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.prompts import prompts
from tasks.core.settings import DatasetKind, Settings

HOLDOUT, EDGE_CASES, BENCHMARK = "also in the holdout", "also in the edge cases", "also in a benchmark"


class DecontaminateSettings(Settings):
    """When a training row counts as seen in a judging row."""

    # Share of common shingles of two whole prompts, |A & B| / |A | B|: the measure of dedupe.
    threshold: float = Field(default=0.7, gt=0, le=1)
    # Words a shingle, and an n-gram. 8 and 13 are usual for benchmarks; a changed word breaks `ngram` of them, and messages
    # are short.
    ngram: int = Field(default=3, ge=1, le=10)
    # Share of a text's n-grams that stand in the other text. Tulu 3 takes 0.5 of 8-grams, PaLM 0.7.
    coverage: float = Field(default=0.7, gt=0, le=1)
    # Fewest n-grams in common for a text inside another: ten words, as in Llama 2. A shorter text is anybody's.
    least: int = Field(default=8, ge=1)
    # A text that stands in more rows than this is a phrase of the trade, a signature, a canned answer. After dedupe hardly
    # anything leaks ten times.
    common: int = Field(default=10, ge=1)


def decontaminate(
    rows: pl.DataFrame, settings: DecontaminateSettings, holdout: pl.DataFrame, edge_cases: pl.DataFrame | None = None,
    benchmarks: pl.DataFrame | None = None, answer: AnswerSettings | None = None, kind: DatasetKind | None = None,
) -> Outcome:  # fmt: skip
    """Drop the rows that meet a judging row, the holdout's first.

    kind: sft if it is not given. Evidence: match (row_id of the judging row), source and line (where that is), of (prompt or
    answer: which of its texts), in (prompt, answer or rejected: where in the training row), coverage (share of the judging
    text's n-grams that the row has), shared (how many), and jaccard where two prompts are alike as a whole. Raises DataError
    when every row leaks.
    """
    answer, kind = answer or AnswerSettings(), kind or DatasetKind()
    given = {HOLDOUT: holdout, EDGE_CASES: edge_cases, BENCHMARK: benchmarks}
    sets = {reason: judge for reason, judge in given.items() if judge is not None and not judge.is_empty()}
    if not sets or rows.is_empty():
        return Outcome(rows, entries("decontaminate", []))
    ordered = rows.sort("row_id")
    judges = pl.concat([_judging(judge, answer, kind, number) for number, judge in enumerate(sets.values())])
    met = _met(_training(ordered, answer, kind), judges, settings)
    reasons = list(sets)
    where = ordered.select("row_id", "source", "line").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    told = [_entry(row, reasons[row["set"]]) for row in where.join(met, on="row").iter_rows(named=True)]
    if len(told) == rows.height:
        raise _all_leak(rows.height, list(dict.fromkeys(row["reason"] for row in told)))
    gone = pl.Series([row["row_id"] for row in told], dtype=pl.String)
    return Outcome(rows.filter(~pl.col("row_id").is_in(gone.implode())), entries("decontaminate", told))


def _judging(rows: pl.DataFrame, answer: AnswerSettings, kind: DatasetKind, number: int) -> pl.DataFrame:
    """Each text of the rows once: set, of, text, match, match_source, match_line (of the smallest row_id that has it)."""
    asked = prompts(rows)
    texts = [asked.select("row_id", of=pl.lit("prompt"), text="prompt")]
    if kind.name != "classification":
        said = [asked.select("row_id", text="answer"), rows.select("row_id", text="rejected")]
        texts += [_free(one.with_columns(of=pl.lit("answer")), answer).select("row_id", "of", "text") for one in said]
    where = rows.select("row_id", match_source="source", match_line="line")
    every = pl.concat(texts).join(where, on="row_id").sort("of", "text", "row_id")
    once = every.unique(["of", "text"], keep="first", maintain_order=True).filter(pl.col("text") != "")
    return once.rename({"row_id": "match"}).with_columns(set=pl.lit(number, pl.Int64))


def _training(rows: pl.DataFrame, answer: AnswerSettings, kind: DatasetKind) -> pl.DataFrame:
    """row (place in `rows`, which are sorted by row_id), part, text; sorted by row."""
    place = pl.int_range(pl.len()).alias("row")
    texts = [prompts(rows).select(place, part=pl.lit("prompt"), text="prompt")]
    if kind.name != "classification":
        turns = rows.select(place, turn="messages").explode("turn").unnest("turn")
        said = turns.filter(pl.col("role") == "assistant").select("row", part=pl.lit("answer"), text="content")
        other = rows.select(place, part=pl.lit("rejected"), text="rejected").drop_nulls("text")
        texts += [_free(one, answer) for one in (said, other)]
    return pl.concat(texts).filter(pl.col("text") != "").sort("row", maintain_order=True)


def _free(texts: pl.DataFrame, answer: AnswerSettings) -> pl.DataFrame:
    """texts, with what is free text of each, made alike (all but its white space, which words do not depend on)."""
    text = pl.col("text")
    if answer.json_schema:
        text = text.map_elements(lambda said: "\n".join(_prose(parse(said) or said, answer)), return_dtype=pl.String)
    return texts.with_columns(text=text.fill_null("").str.normalize("NFKC").str.to_lowercase())


def _prose(value: Any, answer: AnswerSettings) -> Iterator[str]:
    """The texts in a JSON value, but for the fields that are the same in many rows by design."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _prose(item, answer)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in (answer.label, *answer.graded):
                yield from _prose(item, answer)


def _met(ours: pl.DataFrame, judges: pl.DataFrame, settings: DecontaminateSettings) -> pl.DataFrame:
    """row, set, match, match_source, match_line, of, in, jaccard (or null), coverage, shared: the best match of each row."""
    found = Contamination(judges, Measure(**settings.model_dump())).met_by(ours)
    named = judges.drop("text").with_columns(judge=pl.int_range(pl.len()))
    known = found.join(named, on="judge").join(ours.with_columns(text=pl.int_range(pl.len())), on="text")
    likeness, alike = pl.coalesce("jaccard", "coverage"), pl.col("jaccard").is_not_null()
    ordered = known.sort("row", "set", ~alike, -likeness, -pl.col("shared"), "match", "of", "part")
    best = ordered.unique("row", keep="first", maintain_order=True)
    return best.rename({"part": "in"})


def _entry(row: dict[str, Any], reason: str) -> dict[str, Any]:
    about = {"match": row["match"], "source": row["match_source"], "line": row["match_line"], "of": row["of"], "in": row["in"]}
    numbers = {name: round(row[name], 4) for name in ("jaccard", "coverage", "shared") if row[name] is not None}
    return entry(row, "dropped", reason, **about, **numbers)


def _all_leak(rows: int, reasons: list[str]) -> DataError:
    return DataError(
        f"No row is left to train on: all {rows:,} rows are {' or '.join(reasons)}.",
        where="step decontaminate, data.train and data.holdout of the recipe",
        allowed="training rows whose prompts and answers are not in what the model is judged on",
        todo="make sure that data.train and data.holdout do not name the same file",
    )
