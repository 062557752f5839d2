"""Answers in a language that the recipe does not name (py3langid, 139 languages, offline).

Judged is what a model would learn to write: the answers; of a JSON answer its texts of several words; of a
classification row the text, since a label is in no language. What is too short or not surely another language stays.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import polars as pl

from tasks.core.errors import RecipeError
from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers, texts_of_role
from tasks.metrics.answer_schema import parse

# On 18,600 English texts (instructions, bank questions, SMS) 0.95 and 20 letters flagged what was in another language
# and two lists of chemical elements; 32 of 32 short texts in ten other languages were named rightly, 23 of them as
# surely.
SURE, LETTERS, LETTERS_OF_OTHER_SCRIPTS = 0.95, 20, 6
CHARACTERS = 1000  # enough to tell; more only costs time
NO_LANGUAGE = "zxx"  # what the model says of numbers, code and identifiers
_ASKED_FOR = re.compile(
    r"(?i)translat|\b(?:in|into|to|auf|en) (?:arabic|chinese|czech|danish|dutch|english|finnish|french|german"
    r"|greek|hebrew"
    r"|hindi|hungarian|indonesian|italian|japanese|korean|norwegian|polish|portuguese|romanian|russian|spanish|swedish|turkish"
    r"|ukrainian|vietnamese|latin|deutsch|englisch|español|anglais|français)\b"
)
_NOT_PROSE = re.compile(r"```.*?```|`[^`\n]+`|https?://\S+|\S+@\S+|<[A-Z]+_\d+>", re.S)


def may_be_foreign(context: FilterContext) -> pl.Series:
    if not context.languages:
        return pl.Series("row", [], pl.UInt32)
    judged = context.texts.filter(role="user") if context.kind.answer_is_label else context.taught_answers
    letters = pl.col("text").str.count_matches(r"\p{L}")
    return judged.filter(letters >= LETTERS_OF_OTHER_SCRIPTS)["row"]


def is_foreign(row: Row, context: FilterContext) -> ReasonAndEvidence | None:
    labelled = context.kind.answer_is_label
    said = [(n, text, "") for n, text in texts_of_role(row, "user")] if labelled else list(taught_answers(row))
    for number, text, asked in said:
        language, probability = _language(_prose(text))
        if language not in (*context.languages, NO_LANGUAGE) and probability >= SURE and not _ASKED_FOR.search(asked):
            evidence = {"message": number, "language": language, "probability": round(probability, 3)}
            return "answer in another language" if not labelled else "text in another language", evidence
    return None


def check_languages(languages: tuple[str, ...]) -> None:
    """Raise RecipeError for a code that the library does not know."""
    known = set(map(str, _identifier().labels)) if languages else set()
    if unknown := [code for code in languages if code not in known]:
        raise RecipeError(
            f"{unknown[0]!r} is no language that can be told.",
            where="recipe: filter.languages",
            allowed=", ".join(sorted(known - {NO_LANGUAGE})),
            todo="write ISO 639 codes, such as en or de",
        )


def _prose(text: str) -> str:
    value = parse(text) if text.lstrip().startswith("{") else None
    said = text if value is None else "\n".join(_sentences(value))
    return _NOT_PROSE.sub(" ", said[: 4 * CHARACTERS])[:CHARACTERS]


def _sentences(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.count(" ") >= 2 or not value.isascii() else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in _sentences(part)]


def _language(text: str) -> tuple[str, float]:
    """(code, probability); zxx where there is too little to tell. Scripts of their own need few letters."""
    letters = [c for c in text if c.isalpha()]
    enough = LETTERS if sum(c < "\u0250" for c in letters) * 2 > len(letters) else LETTERS_OF_OTHER_SCRIPTS
    if len(letters) < enough:
        return NO_LANGUAGE, 1.0
    language, probability = _identifier().classify(text)
    return str(language), float(probability)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


RULE = Filter("language", may_be_foreign, is_foreign, "quarantine")
