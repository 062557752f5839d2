"""How the answers of a dataset end: whether in punctuation, and which words they never end with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import polars as pl

SAMPLE = 50_000  # answers that the habits are learned from, by row id, which is as good as at random
ENOUGH = 50  # running lines, below which no habit can be told
USUAL = 0.8  # of them must end in punctuation: with less, leaving it out is a habit too
FREQUENT, NEVER_LAST = 50, 0.02  # times a word must have been seen, and the share of these at a sentence's end
BEGINS = 10  # times that words seen three times or more begin with a fragment that is no word itself
FUNCTION_WORD = 0.0005  # of all words; two of these in a line, and it is running text and no title
OPEN = r"[\p{L}\p{N},(\[]$"  # how an answer may end that was cut
_WORDS = r"\p{L}+(?:['’]\p{L}+)*"


@dataclass(frozen=True)
class Habits:
    """What the dataset's answers do. seen, last: how often each word occurs, and at the end of a sentence or clause."""

    punctuated: bool
    seen: dict[str, int]
    last: dict[str, int]

    @cached_property
    def beginnings(self) -> Counter[str]:
        """How often words begin with each string shorter than themselves."""
        found: Counter[str] = Counter()
        for word, count in self.seen.items():
            if count >= 3:
                found.update({word[:end]: count for end in range(1, len(word))})
        return found

    @cached_property
    def frequent(self) -> int:
        return max(FREQUENT, int(FUNCTION_WORD * sum(self.seen.values())))

    def never_last(self, word: str, times: int = FREQUENT) -> bool:
        seen = self.seen.get(word, 0)
        return seen >= times and self.last.get(word, 0) < NEVER_LAST * seen

    def is_fragment(self, word: str) -> bool:
        if len(word) <= 2:  # "p" is seen here and there, as a letter; as a word it ends nothing
            return self.beginnings[word] >= max(BEGINS, self.last.get(word, 0) / NEVER_LAST)
        return self.seen.get(word, 0) <= 1 and self.beginnings[word] >= BEGINS


def habits(answers: pl.DataFrame) -> Habits:
    """answers: texts in the order of their row ids, column text."""
    texts = answers.head(SAMPLE).select(pl.col("text").str.strip_chars())
    text, line = pl.col("text"), pl.col("text").str.extract(r"([^\n]*)$")
    running = texts.filter((line.str.count_matches(r"\s\S") >= 5) & ~line.str.contains(r"^\s*(?:[-*•]|\w{1,3}[.)])\s"))
    ended = running.filter(~text.str.contains(OPEN)).height
    punctuated = running.height >= ENOUGH and ended >= USUAL * running.height
    last = rf"{_WORDS}[ \t]*(?:[.!?;:,)\n]|$)"
    return Habits(punctuated, _counted(texts, _WORDS), _counted(texts, last)) if punctuated else Habits(False, {}, {})


def _counted(texts: pl.DataFrame, pattern: str) -> dict[str, int]:
    found = texts.select(pl.col("text").str.to_lowercase().str.extract_all(pattern).explode()).drop_nulls()
    words = found.select(pl.col("text").str.strip_chars(" \t\n.!?;:,)")).group_by("text").len()
    return dict(words.iter_rows())
