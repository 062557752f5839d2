"""Words that tell two texts apart which are alike otherwise, and words that never do.

A courtesy at either end asks nothing (courtesy.py). A quantity, a name or a negation asks something else where the
other text has another one, and so does a stretch of a few words in the place of quite another stretch. All else may be
mere wording.
Names are told by their capital inside a sentence; of scripts without capitals none are. Numbers of more than four
digits, and those with letters before them, name an order or a ticket, which decides nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tasks.similarity.words import english_words, words

STRETCH, COMMON = 4, 0.5  # English words of a stretch, and the share of them that two wordings of one thing have

_QUANTITY = re.compile(
    r"(?<![a-z\d_#.-])(?:\d{1,4}(?:[/.-]\d{1,4}){2}|\d{1,3}(?:[.,]\d{3})+(?:[.,]\d+)?|\d{1,4}(?:[.,:]\d+)?|\d+000)"
    r"(?![\d_-])"
)
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty hundred thousand "
    "zwei drei vier fünf sechs sieben acht neun zehn deux trois quatre cinq sept huit neuf dix "
    "dos tres cuatro cinco seis siete ocho nueve diez due tre quattro cinque sei sette otto nove dieci "
    "一 二 三 四 五 六 七 八 九 十 百 千 万 两"
)
_NEGATION = re.compile(
    r"(?i)\b(?:not|no|never|without|cannot|neither|nor|none|dont|cant|wont|isnt|doesnt|didnt|nicht|kein\w*|nie|niemals|ohne"
    r"|pas|jamais|sans|aucune?|nunca|jamás|sin|non|mai|senza|não|sem|niet|geen|nooit|zonder|не|нет|без|bez|değil)\b"
    r"|n['’]t\b|[不没沒未无無別]|ない|ません|なかった|않|못|ไม่|ບໍ່|មិន"
)
_NO_NEGATION = re.compile(r"(?i)\bno (?:problem|worries|doubt)\b|不好意思|不客气|对不起|(\w)不\1")
_TOKEN = re.compile(r"\S+")
_INSIDE = re.compile(r"(?:(?<=[^\W_] )|(?<=[,;] ))[^\W\d_]{2,}")  # words inside a sentence


def quantities(text: pl.Expr) -> pl.Expr:
    """The numbers in a text, in their order, as one text."""
    return text.str.extract_all(r"\p{N}+").list.join(" ")


@dataclass(frozen=True)
class Details:
    """What a text holds that may decide: its words, and among them quantities, names and how many negations."""

    words: frozenset[str]
    quantities: frozenset[str]
    names: frozenset[str]
    negations: int

    @classmethod
    def of(cls, text: str) -> Details:
        """text: as it was written, since names are told by their capitals."""
        low = text.lower()
        said = frozenset(words(low))
        quantities = frozenset(_QUANTITY.findall(low)) | said.intersection(_NUMBERS.split())
        return cls(said, quantities, _names(text), _negations(low))

    def tell_apart(self, other: Details, *, whole: bool = True) -> bool:
        """Whether each has a quantity or a name that the other has not, or one more negations.

        whole: no; where one text may stand inside the other, which then says "not" of other things too.
        """
        counted = self.quantities - other.quantities and other.quantities - self.quantities
        named = self.names - other.words and other.names - self.words
        return bool(counted or named) or (whole and self.negations != other.negations)


def masked(text: str) -> tuple[str, str]:
    """A text's wording with 0 for what may decide in it, and that: its numbers, names and how often it says "not"."""
    facts, wording, spoken = [f"not {_negations(text)}"], [], _NEGATION.sub(" ", _NO_NEGATION.sub(" ", text))
    inside = {match.start() for match in _INSIDE.finditer(spoken)} if not text.isupper() else set()
    for token in _TOKEN.finditer(spoken):
        for word in words(token[0]):
            fact = word in _NUMBERS.split() or any(character.isdigit() for character in word)
            if fact or (token.start() in inside and token[0][0].isupper()):
                facts.append(word)
                word = "0"
            wording.append(word)
    return " ".join(wording), " ".join(facts)


def _negations(text: str) -> int:
    return len(_NEGATION.findall(_NO_NEGATION.sub(" ", text)))


def _names(text: str) -> frozenset[str]:
    """Words with a capital inside a sentence; where all is in capitals, none."""
    return frozenset(word.lower() for word in _INSIDE.findall(text) if word[0].isupper() and not text.isupper())


def asks_otherwise(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the words of two texts differ in a stretch that stands for quite another one: two questions on a passage.

    The stretch is what is left between the words that they begin and end with alike, which must be half of a text.
    """
    least = min(len(one), len(other))
    start = next((i for i in range(least) if one[i] != other[i]), least)
    end = next((i for i in range(least - start) if one[-1 - i] != other[-1 - i]), least - start)
    a, b = one[start : len(one) - end], other[start : len(other) - end]
    shorter = min(english_words(a), english_words(b))
    if shorter < STRETCH or 2 * (start + end) < least:
        return False
    return english_words(list((Counter(a) & Counter(b)).elements())) < COMMON * shorter
