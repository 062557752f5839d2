"""Row facts: what a contract can speak of, one narrow row for each row of the dataset, computed in Polars.

Great Expectations has no Polars engine and is slow on wide frames, so it is handed these columns (vocabulary.COLUMNS)
and never the messages themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import polars as pl

from data_contracts.vocabulary import COLUMNS, FIELD
from tasks.core.personal_kinds import Kind
from tasks.core.row import tools_of, with_calls
from tasks.core.text.control_characters import CONTROL
from tasks.core.text.display import HTML
from tasks.metrics.answer_schema import AnswerSettings, broken_rule, parse
from tasks.metrics.reference import broken_calls
from tasks.personal_data.finders import PersonalData, kinds_in
from tasks.relations.prompts import normalised, prompts

# By column, the kind of personal data that it tells of.
PERSONAL: dict[str, Kind] = {"has_email": "email", "has_card": "card"}
# The columns that the texts alone give; the others take the recipe's `answer`, prompts made alike, or finders.
OWN_TEXT = {
    "row_id",
    "source",
    "prompt_chars",
    "prompt_words",
    "answer_chars",
    "answer_words",
    "turns",
    "rejected_chars",
    "same_answers",
    "has_html",
    "has_control_chars",
}


def row_facts(rows: pl.DataFrame, answer: AnswerSettings, columns: Collection[str] | None = None) -> pl.DataFrame:
    """One row of facts for each row, sorted by row_id: row_id, then those of `columns`, in the vocabulary's order.

    rows: row_id, source, messages, rejected (tasks/core/ledger.py). columns: of vocabulary.COLUMNS, and field_<name>
    for a graded field; None for all of these. What is not asked for is not computed.
    """
    known = [*COLUMNS, *(f"{FIELD}{name}" for name in answer.graded)]
    wanted = [name for name in known if columns is None or name in columns or name == "row_id"]
    kept = with_calls(rows).sort("row_id")
    texts = kept.lazy().select("row_id", "source", "messages", "rejected", **text_columns())
    role = pl.element().struct.field("role")
    facts = texts.with_columns(
        pl.col("prompt", "answer").str.len_chars().cast(pl.Int64).name.suffix("_chars"),
        pl.col("prompt", "answer").str.count_matches(r"\S+").cast(pl.Int64).name.suffix("_words"),
        turns=pl.col("messages").list.eval(role == "assistant").list.sum().cast(pl.Int64),
        rejected_chars=pl.col("rejected").fill_null("").str.len_chars().cast(pl.Int64),
        same_answers=pl.col("rejected").is_not_null()
        & (normalised(pl.col("answer")) == normalised(pl.col("rejected"))),
        has_html=pl.col("text").str.contains(HTML),
        has_control_chars=pl.col("text").str.contains(rf"[{CONTROL}\x{{FFFD}}]"),
    )
    own = facts.select(name for name in wanted if name in OWN_TEXT).collect()
    told = own.with_columns(*_keys(kept, wanted), *_personal(kept, wanted), *_answers(texts, answer, wanted))
    return told.with_columns(**_calls(kept, wanted)).select(wanted)


def _keys(rows: pl.DataFrame, wanted: Collection[str]) -> list[pl.Series]:
    if "prompt_key" not in wanted:
        return []
    asked = prompts(rows)  # sorted by row_id too
    return [(asked["system"] + " " + asked["prompt"]).str.strip_chars().alias("prompt_key")]


def text_columns() -> dict[str, pl.Expr]:
    """Of a row, as it is: prompt and answer (vocabulary.COLUMNS says which), and text, all messages and `rejected`
    joined.
    """
    messages = pl.col("messages")
    role, content = pl.element().struct.field("role"), pl.element().struct.field("content")
    last = messages.list.last()
    ends = last.struct.field("role").eq_missing("assistant")
    before = pl.when(ends).then(messages.list.head(messages.list.len() - 1)).otherwise(messages)
    return {
        "prompt": before.list.eval(content.filter(role != "system")).list.join("\n"),
        "answer": pl.when(ends).then(last.struct.field("content")).fill_null(""),
        "text": pl.concat_str(
            messages.list.eval(content).list.join("\n"), "rejected", separator="\n", ignore_nulls=True
        ),
    }


def _personal(rows: pl.DataFrame, wanted: Collection[str]) -> list[pl.Series]:
    """Addresses and card numbers as redact knows them: what it would not take out must not block a run."""
    said = rows.with_columns(meta=pl.lit("{}"))  # no model learns meta
    asked = ((column, PersonalData(kinds=(kind,))) for column, kind in PERSONAL.items() if column in wanted)
    return [kinds_in(said, settings).is_not_null().alias(column) for column, settings in asked]


def _answers(texts: pl.LazyFrame, settings: AnswerSettings, wanted: Collection[str]) -> list[pl.Series]:
    """What reading each answer gives. Equal answers are read once: of a million labels, a few are left."""
    names = [name for name in wanted if name not in OWN_TEXT and name not in ("prompt_key", *PERSONAL)]
    if not names:
        return []
    answers = texts.select("answer").collect()
    different = answers.unique("answer", maintain_order=True)
    read = _answer_facts(different["answer"].to_list(), settings, names)
    return (
        answers.join(different.hstack(read), on="answer", how="left", maintain_order="left").select(names).get_columns()
    )


def _answer_facts(answers: list[str], settings: AnswerSettings, names: Collection[str]) -> pl.DataFrame:
    plain = {"label"} if not settings.label else set()
    plain |= {"answer_problem", "answer_keeps_schema"} if not settings.json_schema else set()
    # A million answers take seconds to parse.
    values = [None if plain >= set(names) else parse(text) for text in answers]
    found: dict[str, Iterable[object]] = {"answer_is_json": (v is not None for v in values)}
    if {"answer_keeps_schema", "answer_problem"} & set(names):
        problems = [_problem(value, settings) for value in values]
        found |= {"answer_keeps_schema": (p is None for p in problems), "answer_problem": problems}
    labels = ((v or {}).get(settings.label) for v in values) if settings.label else (a.strip() for a in answers)
    found |= {"label": map(_text, labels)}
    found |= {f"{FIELD}{name}": [_text((v or {}).get(name)) for v in values] for name in settings.graded}
    flags = ("answer_is_json", "answer_keeps_schema")
    types = {name: pl.Boolean if name in flags else pl.String for name in names}  # texts may be all null
    return pl.DataFrame({name: list(found[name]) for name in names}, schema=types)


def _calls(rows: pl.DataFrame, wanted: Collection[str]) -> dict[str, pl.Expr]:
    """Of rows whose answer is tool calls, what is asked of an answer's form: of their arguments, by the tools' own
    schemas.
    """
    names = [name for name in ("answer_is_json", "answer_keeps_schema", "answer_problem") if name in wanted]
    last = pl.col("calls").list.last() if "calls" in rows.columns else pl.lit(None, pl.String)
    called = rows.select(called=last.str.starts_with("[").fill_null(False))["called"]
    if not (names and called.any()):
        return {}
    asked = zip(called, *(rows[name] for name in ("calls", "meta")), strict=True)
    problems = [broken_calls(calls[-1], tools_of(meta)) or None if made else None for made, calls, meta in asked]
    problem = pl.Series(problems, dtype=pl.String)
    found: dict[str, Any] = {
        "answer_is_json": True,
        "answer_keeps_schema": problem.is_null(),
        "answer_problem": problem,
    }
    return {name: pl.when(called).then(found[name]).otherwise(pl.col(name)) for name in names}


def _problem(value: dict[str, object] | None, settings: AnswerSettings) -> str | None:
    if not settings.json_schema:
        return None
    return "not one JSON object" if value is None else broken_rule(value, settings) or None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
