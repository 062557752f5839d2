"""How the words of a dataset stand in its answers, and what shows by itself that an answer that ends in the open was
cut.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from tasks.curation.filters.last_line import SENTENCE, LastLine

FREQUENT, NEVER_LAST = 30, 0.02  # times a word must have been seen, and the share of these at a sentence's end
LONGEST = 40  # characters of a word
BEGINS = 10  # times that words seen three times or more begin with a fragment that is no word itself
NAMES = 0.2  # of a word's occurrences that are without a capital where it is no name
_WORDS = r"\p{L}+(?:['’]\p{L}+)*"
_LETTERS = re.compile(r"[^\W\d_]{2}")
_NAMES_SEVERAL = re.compile(r"\b(?:are|were|includ(?:es?|ing)|such as|like)\b")
_AND = re.compile(r"\b(?:and|or)\b|&")
_GREETING = re.compile(r"(?i)(?:dear|hi|hello|hey|good (?:morning|afternoon|evening))\b")


@dataclass(frozen=True)
class Words:
    """Word counts. seen, last, small: how often each word occurs, at the end of a sentence or clause, and without a
    capital.
    """

    seen: dict[str, int]
    last: dict[str, int]
    small: dict[str, int]

    @classmethod
    def of(cls, texts: pl.DataFrame) -> Words:
        """Count the words of texts (column text). An answer's last word in the open is left out: whether it may end
        there is the question.
        """
        texts = texts.with_columns(pl.col("text").str.replace(rf"{_WORDS}$", ""))
        seen, small = Counter[str](), Counter[str]()
        for word, times in _counted(texts, _WORDS):
            seen[word.lower()] += times
            small[word.lower()] += times * word[0].islower()
        for word, times in _counted(texts, rf"{_WORDS}:"):  # a speaker, a label: it neither ends anything nor goes on
            seen[word.lower()] -= times
        last = Counter[str]()
        for word, times in _counted(texts, rf"{_WORDS}[ \t]*[.!?;,)\n]"):
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

    def never_last(self, word: str, times: int = FREQUENT) -> bool:
        seen = self.seen.get(word, 0)
        return seen >= times and self.last.get(word, 0) < NEVER_LAST * seen

    def is_name(self, word: str) -> bool:
        """Whether it is hardly ever seen without a capital."""
        return self.small.get(word.lower(), 0) < max(NAMES * self.seen.get(word.lower(), 0), 3)

    def is_fragment(self, word: str) -> bool:
        if len(word) > 2:
            return word not in self.seen and self.beginnings[word] >= BEGINS
        # "p" is seen here and there, as a letter; as a word it ends nothing.
        often = max(BEGINS, self.last.get(word, 0) / NEVER_LAST)
        return self.seen.get(word, 0) < FREQUENT and self.beginnings[word] >= often


def _counted(texts: pl.DataFrame, pattern: str) -> Iterator[tuple[str, int]]:
    """The last word of each match, and how often it is met."""
    found = texts.select(pl.col("text").str.extract_all(pattern).explode()).drop_nulls().group_by("text").len()
    found = found.filter(~pl.col("text").str.contains(r"^\p{L}[.)]$"))  # the letter of a list item ends nothing
    return found.select(pl.col("text").str.extract(rf"({_WORDS})[^\p{{L}}]*$"), "len").drop_nulls().iter_rows()


def sign(end: LastLine, known: Words, prompt: str = "") -> str:
    """What shows by itself that an answer that ends in the open was cut; empty if nothing does."""
    line, words = end.line, end.words
    if len(end.items) >= 2 and end.is_item and not words and all(map(_LETTERS.search, end.items)):
        return "empty list item"
    if not words:
        return ""
    if line[-1] == ",":
        return (
            ""
            if end.signs or _GREETING.match(line) or (end.before and end.before[-1].rstrip().endswith(","))
            else "comma"
        )
    if end.is_named:
        return ""
    if end.differs:
        return "line unlike those above it"
    if line[-1] in "([" or any(line.rfind(left) > line.rfind(right) for left, right in ("()", "[]")):
        return "open bracket"
    if words[-1].end() == len(line) and not end.is_code and _open_quote(line):
        return "open quotation"
    if words[-1].end() != len(line) or (len(words) < SENTENCE and not end.before):
        return ""  # a number, or no end in the open at all
    if not end.is_code and _lacks_and(end.tail):
        return "enumeration without its last item"
    return _unlike_a_last_word(end, known, prompt)


def _lacks_and(said: str) -> bool:
    """Whether a sentence names one thing after the other and does not say "and" before the last: "They are red, blue,
    gr".
    """
    *_, named = _NAMES_SEVERAL.split(said)
    *several, last = re.split("[,;]", named)
    return named != said and len(several) > 1 and _AND.search(last) is None


def _open_quote(line: str) -> bool:
    at = max(line.rfind('"'), line.rfind("“"))
    begins = at >= 0 and (at == 0 or line[at - 1] in " (:") and "”" not in line[at:]
    return begins and (line[at] == "“" or line.count('"') % 2 == 1)


def _unlike_a_last_word(end: LastLine, known: Words, prompt: str) -> str:
    last, above = end.last, end.line[: end.words[-1].start()]
    # After a comma, an operator or a label a small word is an entry, and capitals are notes, grades and names.
    entry = ": " in end.line and len(end.content_after_label.split()) < SENTENCE
    follows = last.islower() and not entry and re.search(r"[^\W_][)\"”’%]? $", above) is not None
    joins = last.islower() and above.endswith((", ", "; ")) and end.line.count(",") * 4 <= len(end.words)
    begins = (last == "I" or not last.isupper()) and end.begun == last and (last.istitle() or ": " not in end.line)
    plain = not end.is_code or (follows and len(last) > 1 and len(end.words) >= SENTENCE)
    if (follows or joins or begins) and plain and known.never_last(last.lower()):
        return "word that ends no sentence"
    if (
        known.is_fragment(last.lower())
        and plain
        and (follows or len(last) > 2)
        and last.lower() not in prompt.lower().split()
    ):
        return "part of a word"
    return ""
