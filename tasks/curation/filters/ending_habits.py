"""Habits of how the answers of a dataset end: whether in punctuation, at which kinds of place, and with which words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from tasks.curation.filters.last_line import AFTER_ANOTHER, NAME_AFTER, SENTENCE, LastLine
from tasks.curation.filters.last_word import Words, sign

SAMPLE = 50_000  # answers that the words are learned from, by row id, which is as good as at random
PLACES = 10_000  # answers of which the last line is looked at: each takes Python some 20 µs
ENOUGH = 50  # running lines, below which no habit can be told
USUAL = 0.8  # of them must end in punctuation: with less, leaving it out is a habit too
# Of the answers at a kind of place, those that must be ended for the others to be suspects: with one in twenty open by
# habit, most suspects would be none. KNOWN: so many of the answers at any place are counted to each, for those that are
# seldom met.
DUE, KNOWN = 0.95, 10
SHOWS = 0.3  # of answers that are cut at random a sign shows in so many at least: a word that ends nothing, half a word
KNOWN_WORDS = 0.5  # of a line's words must be seen elsewhere
OPEN = r"[\p{L}\p{N},(\[]$"  # how an answer may end that was cut


@dataclass(frozen=True)
class Habits:
    """What the dataset's answers do.

    places: of the answers that end at each kind of place, how many there are,
    how many are open, and how many of these show by themselves that they were cut.
    """

    punctuated: bool
    words: Words
    places: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def ended_at(self, place: str) -> float:
        """The share of whole answers that are ended at such a place, but for the one that is asked context, which is
        open.

        0 where there is no such place, or leaving it out is a habit as well.
        """
        if not place:
            return 0.0
        everywhere = sum(met for met, _, _ in self.places.values())
        usual = sum(_by_habit(left, cut) for _, left, cut in self.places.values()) / max(everywhere, 1)
        met, left, cut = self.places.get(place, (0, 0, 0))
        share = 1 - (_by_habit(left - 1, cut) + KNOWN * usual) / (max(met - 1, 0) + KNOWN)
        return round(share, 3) if share >= DUE else 0.0


def _by_habit(left: int, cut: int) -> float:
    """Of the open answers at a place, those that are whole: all but as many as were cut, by those that show it."""
    return max(0.0, left - cut / SHOWS)


def habits(answers: pl.DataFrame) -> Habits:
    """Learn how answers end. answers: texts in the order of their row ids, column text."""
    texts = answers.head(SAMPLE).select(pl.col("text").str.strip_chars())
    text, line = pl.col("text"), pl.col("text").str.extract(r"([^\n]*)$")
    running = texts.filter((line.str.count_matches(r"\s\S") >= 5) & ~line.str.contains(r"^\s*(?:[-*•]|\w{1,3}[.)])\s"))
    usual = running.filter(~text.str.contains(OPEN)).height / max(running.height, 1)
    if running.height < ENOUGH or usual < USUAL:
        return Habits(False, Words({}, {}, {}))
    words = Words.of(texts)
    return Habits(True, words, _places(texts["text"].head(PLACES), words))


def place_of(end: LastLine, words: Words) -> str:
    """The kind of place it ends at. A name after a sentence may be a signature; "It" is none, whatever its capital."""
    known = sum(words.seen.get(word[0].lower(), 0) > 1 for word in end.words)
    if len(end.words) >= SENTENCE and known < KNOWN_WORDS * len(end.words):
        return ""  # another language, a cipher: no habit of this dataset says how it ends
    return AFTER_ANOTHER if end.place == NAME_AFTER and not words.is_name(end.last) else end.place


def _places(texts: pl.Series, words: Words) -> dict[str, tuple[int, int, int]]:
    met, left, cut = Counter[str](), Counter[str](), Counter[str]()
    for text in texts:
        if text and text[0] not in "{[" and (place := place_of(end := LastLine.of(text), words)):
            met[place] += 1
            if end.is_open:
                left[place] += 1
                cut[place] += bool(sign(end, words))
    return {place: (met[place], left[place], cut[place]) for place in met}
