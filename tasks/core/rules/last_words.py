"""How the words of a dataset stand in its answers, and what shows by itself that an answer that ends in the open was cut."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from tasks.core.rules.last_lines import SENTENCE, LastLine

FREQUENT, NEVER_LAST = 50, 0.02  # times a word must have been seen, and the share of these at a sentence's end
LONGEST = 40  # characters of a word
BEGINS = 10  # times that words seen three times or more begin with a fragment that is no word itself
NAMES = 0.2  # of a word's occurrences that are without a capital where it is no name
FUNCTION_WORD = 0.0005  # of all words: what is more frequent is grammar
_WORDS = r"\p{L}+(?:['’]\p{L}+)*"
_BARE = re.compile(r"\s*(?:[-*•·–]|\d{1,3}[.):])\s*")
_GREETING = re.compile(r"(?i)(?:dear|hi|hello|hey|good (?:morning|afternoon|evening))\b")


@dataclass(frozen=True)
class Words:
    """seen, last, small: how often each word occurs, at the end of a sentence or clause, and without a capital."""

    seen: dict[str, int]
    last: dict[str, int]
    small: dict[str, int]

    @classmethod
    def of(cls, texts: pl.DataFrame) -> Words:
        """texts: column text."""
        seen, small = Counter[str](), Counter[str]()
        for word, times in _counted(texts, _WORDS):
            seen[word.lower()] += times
            small[word.lower()] += times * word[0].islower()
        last = Counter[str]()
        for word, times in _counted(texts, rf"{_WORDS}[ \t]*(?:[.!?;:,)\n]|$)"):
            last[word.lower()] += times
        return cls(dict(seen), dict(last), dict(small))

    @cached_property
    def beginnings(self) -> Counter[str]:
        """How often words begin with each string shorter than themselves."""
        found: Counter[str] = Counter()
        for word, count in self.seen.items():
            if count >= 3 and len(word) <= LONGEST:
                found.update({word[:end]: count for end in range(1, len(word))})
        return found

    @cached_property
    def frequent(self) -> int:
        return max(FREQUENT, int(FUNCTION_WORD * sum(self.seen.values())))

    def never_last(self, word: str, times: int = FREQUENT) -> bool:
        seen = self.seen.get(word, 0)
        return seen >= times and self.last.get(word, 0) < NEVER_LAST * seen

    def is_name(self, word: str) -> bool:
        """Whether it is hardly ever seen without a capital."""
        return self.small.get(word.lower(), 0) < max(NAMES * self.seen.get(word.lower(), 0), 3)

    def is_fragment(self, word: str) -> bool:
        if len(word) <= 2:  # "p" is seen here and there, as a letter; as a word it ends nothing
            return self.beginnings[word] >= max(BEGINS, self.last.get(word, 0) / NEVER_LAST)
        return self.seen.get(word, 0) <= 1 and self.beginnings[word] >= BEGINS


def _counted(texts: pl.DataFrame, pattern: str) -> Iterator[tuple[str, int]]:
    """The last word of each match, and how often it is met."""
    found = texts.select(pl.col("text").str.extract_all(pattern).explode()).drop_nulls().group_by("text").len()
    found = found.filter(~pl.col("text").str.contains(r"^\p{L}[.)]$"))  # the letter of a list item ends nothing
    return found.select(pl.col("text").str.extract(rf"({_WORDS})[^\p{{L}}]*$"), "len").drop_nulls().iter_rows()


def sign(end: LastLine, known: Words) -> str:
    """What shows by itself that an answer that ends in the open was cut; empty if nothing does."""
    line, words = end.line, end.words
    if _BARE.fullmatch(line) and len(end.items) >= 2:
        return "empty list item"
    if not words or end.is_named:
        return ""
    if line[-1] in "([" or any(line.rfind(left) > line.rfind(right) for left, right in ("()", "[]")):
        return "open bracket"
    if line[-1] == ",":
        return "" if end.signs or _GREETING.match(line) or (end.before and end.before[-1].rstrip().endswith(",")) else "comma"
    if words[-1].end() != len(line) or (len(words) < SENTENCE and not end.before):
        return ""  # a number, or no end in the open at all
    return _unlike_a_last_word(end, known)


def _unlike_a_last_word(end: LastLine, known: Words) -> str:
    last, alone = end.last, len(end.words) < 2
    between = " " if alone else end.line[end.words[-2].end() : end.words[-1].start()]
    # After a comma or an operator a small word is an entry, and capitals are notes, grades and names.
    follows = last.islower() and re.fullmatch(r"[)\"”’]? ", between) is not None
    joins = last.islower() and between == ", " and end.line.count(",") * 4 <= len(end.words)
    begins = end.tail.split() == [last] and not last.isupper() and len(end.tail) < len(end.line)
    if (follows or joins or begins) and not end.is_code and known.never_last(last.lower()):
        return "word that ends no sentence"
    if known.is_fragment(last.lower()) and not end.is_code and (follows or len(last) > 2):
        return "part of a word"
    return ""
