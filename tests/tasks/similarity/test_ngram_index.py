"""ngram_index: every known n-gram is found where it stands, and nothing else."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.similarity.ngram_index import NgramIndex
from tasks.similarity.words import words

TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "B", "é", "中", "中文", "ขอบคุณ", "x_1", "-", ", ", "2"]), max_size=9).map(" ".join),
    max_size=6,
)


def grams(text: str, n: int) -> list[tuple[str, ...]]:
    said = words(text)
    return [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]


@settings(max_examples=200)
@given(TEXTS, TEXTS, st.sampled_from([1, 2, 3, 5]))
def test_hits_are_those_that_a_plain_search_finds(known: list[str], texts: list[str], n: int) -> None:
    index = NgramIndex(pl.Series(known, dtype=pl.String), n)
    number = {
        grams(known[text], n)[at]: gram
        for text, at, gram in zip(index.hits.text, index.hits.at, index.hits.gram, strict=True)
    }
    assert set(number) == {gram for text in known for gram in grams(text, n)}
    assert len(set(number.values())) == len(number)
    hits, lengths = index.find(pl.Series(texts, dtype=pl.String))
    expected = [
        (i, at, number[g]) for i, text in enumerate(texts) for at, g in enumerate(grams(text, n)) if g in number
    ]
    assert list(zip(hits.text.tolist(), hits.at.tolist(), hits.gram.tolist(), strict=True)) == expected
    assert lengths.tolist() == [len(words(text)) for text in texts]
