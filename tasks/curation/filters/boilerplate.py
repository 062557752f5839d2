"""Refusals and boilerplate: an answer of which every sentence is a set phrase, so that only the phrase is learned.

An answer that refuses and then helps stays, and so does one that quotes a refusal, or was asked to write one. The
phrases are in phrases/boilerplate.yaml: English, and the commonest in German, French, Spanish and Dutch; a recipe adds
its own.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers

FILE = Path(__file__).parent / "phrases" / "boilerplate.yaml"
CHARACTERS = 1200  # the longest refusal in 600 real answers had 614; what is longer says something
_SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_ENDS = " \t\r\n.!?…-–—*_\"'“”"
# Who asks for a text in which such a phrase belongs gets it: a reply to write, a sentence to translate, a bot to play.
_ASKED_FOR = re.compile(
    r"(?i)\b(?:rewrite|rephrase|paraphrase|translate|proofread|correct|edit|summari[sz]e|complete|classify|convert"
    r"|give (?:me )?an example)\b.{0,80}"
    r"\b(?:auto|reply|response|e-?mail|message|letter|notice|sentence|phrase|text|dialogue|answer)\b"
    r"|\b(?:write|draft|compose|generate|create)\b.{0,80}"
    r"\b(?:auto|repl(?:y|ies)|e-?mails?|messages?|letters?|notices?|dialogue|conversation)\b"
    r"|\brefus\w*|\bdeclin(?:e|ing)\b|\b(?:as an ai|chatbot|out[- ]of[- ]office)\b"
)
# The cheapest test that all phrases pass, for Polars to find the few answers worth a closer look.
_HINT = (
    r"(?i)\bai\b|\ba\.i\.|intelligen|language model|chatbot|\bki\b|sprachmodell|taalmodel|\bia\b"
    r"|modèle de langage|assistant"
    r"|modelo de lenguaje|can.?t\b|can ?not|won.?t\b|will not|unable|not able|do(?:es)?(?:n.?| no)t\b|decline"
    r"|could ?n.t"
    r"|\bnot (?:feel |be )?(?:comfortable|allowed|permitted|authori|willing|equipped|supposed|prepared"
    r"|in a position|to)"
    r"|(?:n.t|not) (?:be )?(?:something|appropriate|ethical|right|possible|safe|talk|discuss|answer|respond)|no ?output"
    r"|against (?:my|our)|violate|outside|beyond|prohibit|forbid|prevent|refuse"
    r"|requesting|back to you|touch with|contact|reach out|repl(?:y|ied)|respond|follow up|will (?:call|e-?mail|write)"
    r"|.ll (?:call|e-?mail|write)|received|got your|forwarded|escalated|passed on|registered|logged|closed"
    r"|assigned|\bauto"
    r"|office|leave|vacation|holiday|melden|verbindung|répondra|responderá|reviendra"
)


def may_be_boilerplate(context: FilterContext) -> pl.Series:
    short = context.taught_answers.filter(pl.col("text").str.len_chars() <= CHARACTERS)
    hinted = pl.col("text").str.contains(_HINT)
    if context.phrases:
        own = set(map(_plain, context.phrases))
        hinted |= pl.col("text").map_elements(lambda text: _plain(text) in own, return_dtype=pl.Boolean)
    return short.filter(hinted)["row"]


def is_boilerplate(row: Row, context: FilterContext) -> ReasonAndEvidence | None:
    own = set(map(_plain, context.phrases))
    for number, text, asked in taught_answers(row):
        if _plain(text) in own:
            return "boilerplate answer", {"message": number, "phrase": "filter.phrases"}
        if len(text) <= CHARACTERS and _only_phrases(text) and not _ASKED_FOR.search(asked):
            return "boilerplate answer", {"message": number, "characters": len(text)}
    return None


def _only_phrases(text: str) -> bool:
    """Every sentence is a phrase or filler, and at least one is a phrase."""
    sentences = [s for part in _SENTENCE.split(text.replace("’", "'").strip()) if (s := part.strip(_ENDS))]
    said = [bool(_pattern("phrases").fullmatch(sentence)) for sentence in sentences]
    return any(said) and all(yes or _pattern("filler").fullmatch(s) for yes, s in zip(said, sentences, strict=True))


@cache
def _pattern(group: Literal["phrases", "filler"]) -> re.Pattern[str]:
    said: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    patterns = "|".join(f"(?:{pattern})" for pattern in said[group])
    for _ in range(2):  # a part may hold another one
        patterns = re.sub(r"\{([a-z_]+)\}", lambda found: said["parts"][found[1]], patterns)
    return re.compile(patterns, re.I)


def _plain(text: str) -> str:
    """Without case, punctuation and blanks: a phrase however it is typed."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


RULE = Filter("boilerplate", may_be_boilerplate, is_boilerplate, "quarantine", of_answers=True)
