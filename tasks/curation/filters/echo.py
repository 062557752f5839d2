"""Answers that repeat the prompt.

The same words are no echo where the work lies between them: marks or lines set (punctuation restored, code laid out,
JSON minified), several words given capitals (titles, true-casing), or an edit that the system prompt or an earlier turn
asks for, whose right result may be the text as it was. What else differs (a full stop, one capital) is still an echo.
"""

from __future__ import annotations

import re

import polars as pl

from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers

WORDS = 4  # "Hello" answered by "Hello!" is polite, and a label may well be the text it labels
RAISED = 2  # words that got a capital: one may be a word that is shouted, or begins the sentence
_WORD = re.compile(r"\w+")
_BETWEEN = re.compile(r"[\W_]+")
_THE = r"(?:the|this|these|all|any|every|each|it|them|their|my|your|what|a|an)\b"
_EDIT = re.compile(
    r"(?i)punctuat|capitali|capital letters|\b(?:title|lower|upper|sentence|true|camel|snake)[ -]?cas|\bcasing\b"
    r"|\b(?:re)?format|layout|\bindent|pretty.?print|minif|beautif|normali[sz]e|proofread|grammar|spelling|\brewrite"
    rf"|rephras|paraphras|\bsort (?:{_THE}|words|lines|by)|\b(?:edit|fix|mend|correct|clean|convert|copy|order)"
    rf" (?:up )?(?:{_THE}|errors|mistakes|texts?|sentences?)|(?<!not )(?<!never )(?<!n't )\b(?:repeat|echo)|same again"
    r"|verbatim|transcri|\bas (?:a )?(?:json|xml|yaml|csv|markdown|html)|satzzeichen|großschreib|rechtschreib|formatier"
    r"|korrigier|ponctu|majuscule|orthograph|corrige|puntuaci|may[uú]scul|formatea|interpun|hoofdletter"
    r"|标点|格式|纠正|校对|重复|翻译|句読点|整形|校正"
)


def may_echo(context: FilterContext) -> pl.Series:
    """Answers about as long as what stands before them, and then alike as far as letters and digits go."""
    before = {"asked": pl.col("text").shift(1), "same": pl.col("row").shift(1) == pl.col("row")}
    length = pl.col("text").str.len_bytes().cast(pl.Int64)
    near = (length - pl.col("asked").str.len_bytes().cast(pl.Int64)).abs() <= 10 + length // 5
    letters = (pl.col(name).str.to_lowercase().str.replace_all(r"[\W_]+", "") for name in ("text", "asked"))
    pairs = context.texts.lazy().with_columns(**before).filter("taught", "same", near)
    return pairs.filter(next(letters) == next(letters)).select("row").collect()["row"]


def echoes(row: Row, context: FilterContext) -> ReasonAndEvidence | None:
    for number, text, asked in taught_answers(row):
        words = words_without_punctuation(text)
        if len(words) < WORDS or words != words_without_punctuation(asked) or _edited(text, asked):
            continue
        if not _asks_for_edit(row, number, context.prompt.system):
            return "answer repeats the prompt", {"message": number, "words": len(words)}
    return None


def words_without_punctuation(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def _edited(text: str, asked: str) -> bool:
    """Whether the same words have other marks or line breaks between them, or more capitals."""
    between, before = ([_marks(gap) for gap in _BETWEEN.findall(_inside(one))] for one in (text, asked))
    words = zip(_WORD.findall(text), _WORD.findall(asked), strict=False)
    return between != before or sum(before.islower() and not word.islower() for word, before in words) >= RAISED


def _inside(text: str) -> str:
    """A text from its first letter to its last."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", text)


def _marks(gap: str) -> str:
    return re.sub(r"[^\S\n]+", "", gap)


def _asks_for_edit(row: Row, number: int, system: str) -> bool:
    """Whether what stands before the question says that its text is to be edited, or to be said again."""
    earlier = [message["content"] or "" for message in row["messages"][: number - 1]]
    return any(map(_EDIT.search, [system, *earlier[:-1]]))


RULE = Filter("echo", may_echo, echoes, "quarantine", of_answers=True)
