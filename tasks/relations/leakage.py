"""Leakage of held-out rows into training rows: what decontaminate lets go of, and what a contract counts.

A row does if its prompt is the same as a held-out row's or nearly so, if one of the two stands inside the other, or if
its answer holds a held-out row's answer (contamination.py: how, and why wording that many rows share is no leak). The
system message does not count: what is held out is not to be seen under any. A prompt with another number, name or
negation in it, or with another question on the same passage, that is answered otherwise is another row, and no leak
(telling_words.py, verdicts.py).

    sft             prompts, and everything that the assistant says in training against the held-out rows' answers.
                    Of answers that are JSON the free text is compared: no keys, and not the fields that are labels or
                    graded.
    preference      prompts, and both answers on both sides: whichever is preferred, it was read
    classification  texts only: everybody has the labels
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from tasks.core.row import with_calls
from tasks.core.row_kind import RowKind
from tasks.metrics.answer_schema import AnswerSettings, parse
from tasks.relations.prompts import prompts, prompts_as_written
from tasks.relations.telling_words import Details, asks_otherwise
from tasks.relations.verdicts import verdicts
from tasks.similarity.contamination import Contamination
from tasks.similarity.heldout_ngrams import LeakSettings
from tasks.similarity.words import words

WHOLE = 0.7  # of a prompt's words another one must have to be compared with it as a whole, "not" for "not"


def leaks(
    rows: pl.DataFrame, heldout: Sequence[pl.DataFrame], settings: LeakSettings, answer: AnswerSettings, kind: RowKind
) -> pl.DataFrame:
    """Find the rows that a held-out row contaminates, each with the best of its matches.

    heldout: sets of rows (the holdout, the edge cases, ...); of two that a row meets the earlier is told. What many
    rows say is no leak, so what is found depends on all of `rows`.

    Columns: row_id, source, line; set (place of the set in `heldout`), match, match_source, match_line (the held-out
    row), of (prompt or answer: which of its texts), in (prompt, answer or rejected: where in the row), coverage (share
    of the held-out text's n-grams that the row has), shared (how many), jaccard (of two prompts that are alike as a
    whole; else null).
    """
    ordered = rows.sort("row_id")
    texts = pl.concat([_heldout_texts(one, answer, kind, number) for number, one in enumerate(heldout)])
    found = _matches(_training(ordered, answer, kind), texts, settings)
    met = _best(found.filter(~_told_apart(found, ordered, heldout)))
    where = ordered.select("row_id", "source", "line").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return where.join(met, on="row").drop("row")


def _heldout_texts(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind, number: int) -> pl.DataFrame:
    """Each text of the rows once: set, of, text, match, match_source, match_line (of the smallest
    row_id that has it).
    """
    asked = prompts(rows)
    texts = [asked.select("row_id", of=pl.lit("prompt"), text="prompt")]
    if not kind.answer_is_label:
        said = [asked.select("row_id", text="answer"), rows.select("row_id", text="rejected")]
        texts += [_free(one.with_columns(of=pl.lit("answer")), answer).select("row_id", "of", "text") for one in said]
    where = rows.select("row_id", match_source="source", match_line="line")
    every = pl.concat(texts).join(where, on="row_id").sort("of", "text", "row_id")
    once = every.unique(["of", "text"], keep="first", maintain_order=True).filter(pl.col("text") != "")
    return once.rename({"row_id": "match"}).with_columns(set=pl.lit(number, pl.Int64))


def _training(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> pl.DataFrame:
    """row (place in `rows`, which are sorted by row_id), part, text; sorted by row."""
    place = pl.int_range(pl.len()).alias("row")
    texts = [prompts(rows).select(place, part=pl.lit("prompt"), text="prompt")]
    if not kind.answer_is_label:
        turns = with_calls(rows).select(place, turn="messages").explode("turn").unnest("turn")
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


def _matches(ours: pl.DataFrame, heldout: pl.DataFrame, settings: LeakSettings) -> pl.DataFrame:
    """Every match of a text of ours with a held-out one.

    Columns: row, part, set, of, match, match_source, match_line, jaccard (or null), coverage, shared.
    """
    found = Contamination(heldout, settings).matches(ours)
    named = heldout.drop("text").with_columns(heldout=pl.int_range(pl.len()))
    return found.join(named, on="heldout").join(ours.drop("text").with_columns(text=pl.int_range(pl.len())), on="text")


def _told_apart(found: pl.DataFrame, rows: pl.DataFrame, heldout: Sequence[pl.DataFrame]) -> pl.Series:
    """Of matches, whether two prompts that are not the same are told apart and answered otherwise."""
    two = found.select("row", "set", "match", "jaccard", asked=pl.col("of").eq("prompt") & pl.col("part").eq("prompt"))
    may = two.select(pl.col("asked") & (pl.col("jaccard").is_null() | (pl.col("jaccard") < 1))).to_series()
    mine = _asked_and_decided(rows[two.filter(may)["row"].unique().sort().to_list()])
    theirs = [_asked_and_decided(one.filter(pl.col("row_id").is_in(two.filter(may)["match"]))) for one in heldout]
    ids = rows["row_id"]

    def apart(row: int, number: int, match: str) -> bool:
        (asked, decided), (other_asked, other_decided) = mine[ids[row]], theirs[number][match]
        if decided == other_decided:
            return False
        one, other = words(asked), words(other_asked)
        whole = min(len(one), len(other)) >= WHOLE * max(len(one), len(other))
        return Details.of(asked).tell_apart(Details.of(other_asked), whole=whole) or asks_otherwise(one, other)

    judged = two.filter(may).select("row", "set", "match").iter_rows()
    return pl.Series([one and apart(*next(judged)) for one in may], dtype=pl.Boolean)


def _asked_and_decided(rows: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """{row_id: its prompt as it was written, and what its answer decides}."""
    answers, written = prompts(rows), prompts_as_written(rows)
    decided = verdicts(answers["answer"])
    return {row_id: (written[row_id], said) for row_id, said in zip(answers["row_id"], decided, strict=True)}


def _best(known: pl.DataFrame) -> pl.DataFrame:
    """row, set, match, match_source, match_line, of, in, jaccard, coverage, shared: the best match of each row."""
    likeness, alike = pl.coalesce("jaccard", "coverage"), pl.col("jaccard").is_not_null()
    ordered = known.sort("row", "set", ~alike, -likeness, -pl.col("shared"), "match", "of", "part")
    best = ordered.unique("row", keep="first", maintain_order=True)
    return best.rename({"part": "in"})
