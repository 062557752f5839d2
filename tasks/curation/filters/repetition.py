"""Answers that say the same over and over: a generator that was caught in a loop."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from operator import eq

import polars as pl

from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers
from tasks.curation.filters.echo import words_without_punctuation

# A loop is told by these three together: a refrain is shorter, a table's cells are fewer, a list's items differ.
TIMES, LOOP_WORDS, SHARE = 4, 16, 0.4
PERIODS = 3  # lengths of a block that are tried
_WANTED = re.compile(r"(?i)\b(?:repeat|repeated(?:ly)?|times|loop|refrain|chant|mantra)\b")
_RUN = re.compile(r"(\w{1,20}?)\1{39,}")  # one or a few characters forty times; rules and dotted lines are no words


def may_loop(context: FilterContext) -> pl.Series:
    """Answers in which few words are different ones, and those with a very long word."""
    words = pl.col("text").str.to_lowercase().str.extract_all(r"\w+")
    few = (words.list.len() >= LOOP_WORDS) & (words.list.n_unique() <= (1 - SHARE + SHARE / TIMES) * words.list.len())
    return context.taught_answers.filter(few | pl.col("text").str.contains(r"\w{40}"))["row"]


def loops(row: Row, _: FilterContext) -> ReasonAndEvidence | None:
    for number, text, asked in taught_answers(row):
        if _WANTED.search(asked):
            continue
        if run := _RUN.search(text):
            return "answer repeats itself", {"message": number, "characters": len(run[0])}
        words = words_without_punctuation(text)
        period, covered = _longest_loop(words)
        if period and covered >= max(TIMES * period, LOOP_WORDS, SHARE * len(words)):
            share = round(covered / len(words), 3)
            return "answer repeats itself", {
                "message": number,
                "words": period,
                "times": covered // period,
                "share": share,
            }
    return None


def _longest_loop(words: list[str]) -> tuple[int, int]:
    """(words in a block, words covered) of the longest stretch in which one block follows itself; (0, 0) without one.

    Linear: a block shows by the distance at which its three-word sequences come again, the commonest of which are
    tried. A sequence that stands in the block twice has other distances, but fewer. Blocks of digits alone are data.
    """
    last: dict[tuple[str, ...], int] = {}
    gaps: Counter[int] = Counter()
    for i, gram in enumerate(zip(words, islice(words, 1, None), islice(words, 2, None), strict=False)):
        if gram in last:
            gaps[i - last[gram]] += 1
        last[gram] = i
    found = (0, 0)
    for period in sorted(sorted(gaps), key=lambda gap: -gaps[gap])[:PERIODS]:
        streak = 0
        for i, same in enumerate(map(eq, words, islice(words, period, None))):
            streak = streak + 1 if same else 0
            if (
                streak + period > found[1]
                and streak >= period
                and any(_is_word(word) for word in words[i - period + 1 : i + 1])
            ):
                found = (period, streak + period)
    return found


def _is_word(word: str) -> bool:
    return len(word) > 1 and word.isalpha()


RULE = Filter("repetition", may_loop, loops, "quarantine", of_answers=True)
