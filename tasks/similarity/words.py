"""What a word is, for everything that compares texts: one rule, in Polars' regular expressions and in Python's.

A word is a maximal run of letters, digits and underscores (Python's `\\w`), in lower case. Where a script writes no
spaces between words, a run would be a whole clause, so there it is cut smaller:

    Chinese, Japanese, Yi      each character (Han, kana, Bopomofo): 1.6 of them say what an English word does
    Thai, Lao, Khmer, Burmese, letters up to and with the next vowel and tone marks, and a vowel that is written before
    Javanese and the like      its consonant begins one: a syllable or so, of which two say what an English word does

    words("Order 12 为什么没到?")     order, 12, 为, 什, 么, 没, 到

No dictionary is asked: one that cuts a clause otherwise when a character is added would see two texts where there is
one; here a change moves no cut but its own. Marks (`\\u0301`) are no part of words elsewhere, as in Python.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import chain

# Han with its numerals and repetition marks, kana (small, half width, supplements), Bopomofo, Yi, Tangut.
CHARACTERS = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua48c\uf900-\ufaff\uff66-\uff9f"
    "\U00017000-\U00018d08\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
# Blocks: Thai and Lao, Burmese with its two extensions, Khmer, Tai Le and New Tai Lue, Tai Tham, Balinese, Javanese.
_BLOCKS = (
    *((0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x1950, 0x19E0), (0x1A20, 0x1AB0), (0x1B00, 0x1B80)),
    *((0xA980, 0xAA00), (0xAA60, 0xAA80)),
)


def _of(category: str) -> str:
    every = map(chr, chain.from_iterable(range(*block) for block in _BLOCKS))
    return "".join(character for character in every if unicodedata.category(character).startswith(category))


LETTERS, MARKS = _of("L"), _of("M")
FIRST, LAST = (
    "เแโใไເແໂໃໄ",
    "ะาำๅະາຳ",
)  # of Thai and Lao the vowels before their consonant, and those that are letters behind it
_OTHERS = "".join(letter for letter in LETTERS if letter not in FIRST + LAST)
_SYLLABLE = f"[{FIRST}]?[{_OTHERS}]+[{MARKS}{LAST}]*|[{FIRST}]|[{LAST}][{MARKS}{LAST}]*"
# Rust's own \w differs from Python's: it joins combining marks and leaves out ² and ½.
WORD = rf"(?:[\p{{L}}\p{{N}}_--[{CHARACTERS}{LETTERS}]]+|[{CHARACTERS}]|{_SYLLABLE})"
PYTHON_WORD = rf"[^\W{CHARACTERS}{LETTERS}]+|[{CHARACTERS}]|{_SYLLABLE}"
CHARACTER, SYLLABLE = 0.6, 0.5  # English words that one says
UNSPACED = f"(?P<character>[{CHARACTERS}])|[{LETTERS}]"
_UNSPACED = re.compile(UNSPACED)
_WORD = re.compile(PYTHON_WORD)


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def english_words(said: Sequence[str]) -> float:
    """How many words so many are in English: what limits that are told in words are compared with."""
    kinds = map(_UNSPACED.match, said)
    return sum(1 if kind is None else CHARACTER if kind["character"] else SYLLABLE for kind in kinds)
