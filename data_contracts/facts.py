"""Row facts: what a contract can speak of, one narrow row for each row of the dataset, computed in Polars.

Great Expectations has no Polars engine and is slow on wide frames, so it is handed these columns (vocabulary.COLUMNS)
and never the messages themselves.
"""

from __future__ import annotations

import re

import polars as pl

from data_contracts.vocabulary import COLUMNS, FIELD
from tasks.core.answer import AnswerSettings, broken_rule, label_of, parse
from tasks.core.prompts import prompts

EMAIL = r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
# 13 to 19 digits from 2 to 6 on (ISO/IEC 7812: banks, travel and retail cards); the check digit decides.
CARD = r"\b[2-6](?:[ -]?[0-9]){12,18}\b"
# Tags and entities that text from a mail or a web form is full of; `a < b` and <order number> are no HTML.
HTML = (
    r"(?i)</?(?:a|b|blockquote|body|br|code|div|em|font|h[1-6]|head|hr|html|i|img|li|ol|p|pre|script|span|strong|style|table"
    r"|tbody|td|th|tr|u|ul)\b[^<>]*>|&(?:amp|apos|gt|lt|nbsp|quot|#[0-9]+|#x[0-9a-f]+);"
)
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\x{FFFD}]"  # all but tab and line breaks


def row_facts(rows: pl.DataFrame, answer: AnswerSettings) -> pl.DataFrame:
    """One row of facts for each row, sorted by row_id: vocabulary.COLUMNS, then field_<name> for each graded field.

    rows: row_id, source, messages (tasks/core/ledger.py).
    """
    texts = rows.sort("row_id").select("row_id", "source", "messages", **texts_of())
    role = pl.element().struct.field("role")
    asked = prompts(rows)  # sorted by row_id too
    facts = texts.with_columns(
        pl.col("prompt", "answer").str.len_chars().cast(pl.Int64).name.suffix("_chars"),
        pl.col("prompt", "answer").str.count_matches(r"\S+").cast(pl.Int64).name.suffix("_words"),
        prompt_key=(asked["system"] + " " + asked["prompt"]).str.strip_chars(),
        turns=pl.col("messages").list.eval(role == "assistant").list.sum().cast(pl.Int64),
        has_email=pl.col("text").str.contains(EMAIL),
        has_card=_has_card(pl.col("text")),
        has_html=pl.col("text").str.contains(HTML),
        has_control_chars=pl.col("text").str.contains(CONTROL),
    )
    read = _answer_facts(texts["answer"].to_list(), answer)
    return pl.concat([facts, read], how="horizontal").select(*COLUMNS, *(f"{FIELD}{name}" for name in answer.graded))


def texts_of() -> dict[str, pl.Expr]:
    """Of `messages`, as they are: prompt and answer (vocabulary.COLUMNS says which), and text, all of them joined."""
    messages = pl.col("messages")
    role, content = pl.element().struct.field("role"), pl.element().struct.field("content")
    last = messages.list.last()
    ends = last.struct.field("role").eq_missing("assistant")
    before = pl.when(ends).then(messages.list.head(messages.list.len() - 1)).otherwise(messages)
    return {
        "prompt": before.list.eval(content.filter(role != "system")).list.join("\n"),
        "answer": pl.when(ends).then(last.struct.field("content")).fill_null(""),
        "text": messages.list.eval(content).list.join("\n"),
    }


def mask(text: str) -> str:
    """`text` without the e-mail addresses and card numbers in it, for a page that people read."""
    return re.sub(CARD, "[card]", re.sub(EMAIL, "[e-mail]", text))


def _has_card(text: pl.Expr) -> pl.Expr:
    return text.str.extract_all(CARD).map_elements(lambda found: any(map(_check_digit, found)), return_dtype=pl.Boolean)


def _check_digit(number: str) -> bool:
    """The Luhn sum of ISO/IEC 7812-1, annex B."""
    digits = [int(d) for d in number if d.isdigit()][::-1]
    return sum(d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)) % 10 == 0


def _answer_facts(answers: list[str], settings: AnswerSettings) -> pl.DataFrame:
    values = [parse(text) for text in answers]
    problems = [_problem(value, settings) for value in values]
    columns: dict[str, list[object]] = {
        "answer_is_json": [v is not None for v in values],
        "answer_keeps_schema": [p is None for p in problems],
        "answer_problem": list(problems),
        "label": [label_of(text, settings) for text in answers],
        **{f"{FIELD}{name}": [_text((v or {}).get(name)) for v in values] for name in settings.graded},
    }
    texts = [name for name in columns if name not in ("answer_is_json", "answer_keeps_schema")]  # may be all null
    return pl.DataFrame(columns, schema_overrides=dict.fromkeys(texts, pl.String))


def _problem(value: dict[str, object] | None, settings: AnswerSettings) -> str | None:
    if not settings.json_schema:
        return None
    return "not one JSON object" if value is None else broken_rule(value, settings) or None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
