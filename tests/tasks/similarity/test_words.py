"""words: one rule in two dialects of regular expressions, and a word is a word where nobody writes spaces."""

from __future__ import annotations

import re
import sys
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.similarity.words import FIRST, LAST, LETTERS, MARKS, WORD, words

CHARACTERS = [chr(c) for c in range(sys.maxunicode + 1)]
KNOWN = pl.Series([c for c in CHARACTERS if unicodedata.category(c) not in ("Cn", "Cs")])  # unassigned, surrogates
SOUP = st.lists(
    st.sampled_from([*"aB1_ -.,·日本ーカ々", "ß", "²", *LETTERS[:9], *MARKS[:5], *FIRST[:2], *LAST[:3]]), max_size=20
).map("".join)


def test_the_characters_of_words_are_those_of_python() -> None:
    letters = [re.fullmatch(r"\w", c) is not None for c in KNOWN]
    assert KNOWN.str.contains(f"^{WORD}$").to_list() == letters
    assert [words(c) != [] for c in KNOWN] == letters
    assert KNOWN.str.to_lowercase().to_list() == [c.lower() for c in KNOWN]


@settings(max_examples=300)
@given(SOUP | st.text(st.characters(exclude_categories=("Cn", "Cs")), max_size=12))
def test_both_patterns_find_the_same_words(text: str) -> None:
    assert pl.Series([text]).str.to_lowercase().str.extract_all(WORD).to_list() == [words(text)]


@pytest.mark.parametrize("text", ["Don't stop: naïve d_1, x² und Straße", "हिन्दी में", "한국어 문장", "Ελληνικά 12"])
def test_where_spaces_are_written_words_are_runs_of_letters(text: str) -> None:
    assert words(text) == re.findall(r"\w+", text.lower())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("退款500元，好吗？", ["退", "款", "500", "元", "好", "吗"]),
        ("コーヒーを2杯", ["コ", "ー", "ヒ", "ー", "を", "2", "杯"]),
        ("ราคา500บาท", ["รา", "คา", "500", "บา", "ท"]),
        ("ช่วยแจ้งด้วย", ["ช่", "วย", "แจ้", "งด้", "วย"]),
        ("សួស្តី", ["សួ", "ស្", "តី"]),
        ("ຂອບໃຈ", ["ຂອບ", "ໃຈ"]),
    ],
)
def test_where_none_are_written_a_clause_is_cut_into_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_word_more_moves_no_cut_but_its_own() -> None:
    before, after = words("ช่วยแจ้งราคาด้วยค่ะ"), words("ช่วยแจ้งราคาใหม่ด้วยค่ะ")
    assert before == [word for word in after if word != "ใหม่"]
