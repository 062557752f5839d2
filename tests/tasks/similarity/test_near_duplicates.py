"""The join against brute force: every pair at or above the threshold, and no other."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.similarity import near_duplicates, parallel, set_join, shingles, word_ngrams
from tasks.similarity.near_duplicates import near_duplicate_groups, near_duplicate_pairs
from tasks.similarity.words import words

VOCABULARY = ["a", "b", "c", "the", "straße", "ΑΣ", "naïve", "x²", "日本", "日本語", "ขอบคุณ", "d_1", "İ"]
SOUP = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)
TEXTS = st.lists(SOUP | st.text(max_size=12) | st.sampled_from(["", "!?", "👍", "a b", "A  B!"]), max_size=25)
SMALL = [
    *((of, "PART", 50) for of in (parallel, word_ngrams, shingles)),
    (word_ngrams, "BATCH", 40),
    (set_join, "BUDGET", 99),
]
THRESHOLDS = st.sampled_from([0.5, 0.6, 2 / 3, 0.7, 0.8, 0.9, 1.0]) | st.integers(500, 1000).map(lambda n: n / 1000)


def frame(texts: list[str]) -> pl.DataFrame:
    ids = [f"{(i * 7919) % 100_003:06d}" for i in range(len(texts))]  # ids out of order with the rows
    return pl.DataFrame({"row_id": ids, "text": texts}, schema={"row_id": pl.String, "text": pl.String})


def shingle_set(text: str, ngram: int) -> set[tuple[str, ...]]:
    said = words(text)
    return {tuple(said[i : i + ngram]) for i in range(max(len(said) - ngram + 1, 1))} if said else set()


def brute_force(texts: pl.DataFrame, threshold: float, ngram: int) -> list[tuple[str, str, float]]:
    sets = sorted((row_id, shingle_set(text, ngram)) for row_id, text in texts.iter_rows())
    pairs = []
    for (a, x), (b, y) in combinations(sets, 2):
        if x | y and Fraction(len(x & y), len(x | y)) >= Fraction(str(threshold)):
            pairs.append((a, b, len(x & y) / len(x | y)))
    return pairs


@settings(max_examples=300)
@given(TEXTS, THRESHOLDS, st.integers(1, 4))
def test_it_finds_every_pair_at_the_threshold_and_no_other(texts: list[str], threshold: float, ngram: int) -> None:
    rows = frame(texts)
    assert near_duplicate_pairs(rows, threshold, ngram).rows() == brute_force(rows, threshold, ngram)


@settings(max_examples=60)
@given(st.data(), THRESHOLDS)
def test_it_finds_every_pair_among_long_texts_that_were_edited(data: st.DataObject, threshold: float) -> None:
    base = [f"w{n}" for n in data.draw(st.lists(st.integers(0, 60), min_size=30, max_size=80))]
    texts = []
    for _ in range(12):
        words = list(base)
        for at in data.draw(st.lists(st.integers(0, len(base) - 1), max_size=6)):
            words[at] = data.draw(st.sampled_from(["new", "other", "w1"]))
        texts.append(" ".join(words))
    rows = frame(texts)
    assert near_duplicate_pairs(rows, threshold, 3).rows() == brute_force(rows, threshold, 3)


@settings(max_examples=150)
@given(TEXTS, st.lists(st.integers(0, 30), max_size=8), THRESHOLDS, st.integers(1, 4))
def test_groups_say_the_same_as_pairs(texts: list[str], notices: list[int], threshold: float, ngram: int) -> None:
    rows = frame([*texts, *(f"ticket {n} is closed we thank you for your patience" for n in notices)])
    variants, pairs = near_duplicate_groups(rows, threshold, ngram)
    first = dict(variants.select("row_id", "first").iter_rows())
    within = dict(variants.select("first", "jaccard").iter_rows())
    between = {(a, b): jaccard for a, b, jaccard in pairs.iter_rows()}
    told = []
    for a, b in combinations(sorted(rows["row_id"]), 2):
        x, y = sorted((first.get(a, a), first.get(b, b)))
        jaccard = within.get(x) if x == y else between.get((x, y))
        told += [(a, b, jaccard)] if jaccard is not None else []
    assert told == brute_force(rows, threshold, ngram)


@settings(max_examples=50)
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(texts: list[str], random: object) -> None:
    rows = frame(texts)
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert near_duplicate_pairs(rows[order]).equals(near_duplicate_pairs(rows))


def test_a_pair_exactly_at_the_threshold_is_in() -> None:
    shared = [f"s{i}" for i in range(7)]
    rows = frame([" ".join([*shared, "x", "y"]), " ".join([*shared, "z"])])  # 7 of 10 words
    assert near_duplicate_pairs(rows, 0.7, 1)["jaccard"].to_list() == [0.7]
    assert near_duplicate_pairs(rows, 0.7001, 1).is_empty()


def test_batches_of_texts_share_one_numbering_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = frame([f"one two three four {i % 5}" for i in range(20)])
    whole = near_duplicate_pairs(rows)
    monkeypatch.setattr(word_ngrams, "BATCH", 3)
    monkeypatch.setattr(set_join, "BUDGET", 5)  # and candidates come in many small chunks
    assert near_duplicate_pairs(rows).equals(whole)
    assert whole.rows() == brute_force(rows, 0.7, 3)


@pytest.mark.parametrize("factor", [1, 1 << 60], ids=["one hash for all", "sixteen hashes"])
@settings(max_examples=60)
@given(TEXTS, st.lists(st.integers(0, 1), min_size=25, max_size=25), THRESHOLDS, st.integers(1, 4))
def test_words_are_told_apart_whose_hashes_are_not(
    factor: int, texts: list[str], group: list[int], threshold: float, ngram: int
) -> None:
    rows = frame(texts)
    apart = rows.with_columns(group=pl.Series(group[: len(texts)], dtype=pl.Int64))
    whole = near_duplicate_groups(apart, threshold, ngram)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_ngrams, "GOLDEN", np.uint64(factor))
        assert near_duplicate_pairs(rows, threshold, ngram).rows() == brute_force(rows, threshold, ngram)
        for weak, strong in zip(near_duplicate_groups(apart, threshold, ngram), whole, strict=True):
            assert weak.equals(strong)


def test_the_answer_is_the_same_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    base = [[f"w{n}" for n in draw.zipf(1.3, 30) % 500] for _ in range(60)]
    texts = [" ".join(words[: draw.integers(25, 31)]) for words in base for _ in range(4)]
    rows = frame([*texts, *("kind regards from us all at the shop" for _ in range(20)), *("" for _ in range(20))])
    told = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(parallel, "usable_cores", lambda cores=cores: cores)
        for module, name, small in SMALL if cores > 1 else ():
            monkeypatch.setattr(module, name, small)
        told.append((near_duplicate_pairs(rows, 0.6), *near_duplicate_groups(rows, 0.6)))
    assert all(one.equals(two) for other in told[1:] for one, two in zip(told[0], other, strict=True))
    assert told[0][0].rows() == brute_force(rows, 0.6, 3)


def test_shingles_of_many_words_are_told_apart() -> None:
    words = " ".join(f"w{i}" for i in range(70))
    rows = frame([words, words + " end", words.replace("w35", "other")])
    assert near_duplicate_pairs(rows, 0.5, 11).rows() == brute_force(rows, 0.5, 11)


def test_hostile_shapes_end_in_seconds() -> None:
    signature = "kind regards from all of us at the shop"
    rows = frame([f"question{i} about thing{i % 50} and part{i % 70} {signature}" for i in range(20_000)])
    assert near_duplicate_pairs(frame([""] * 100_000)).is_empty()
    assert near_duplicate_pairs(rows, 0.9).is_empty()
    large = " ".join(str(i % 400_000) for i in range(1_500_000))  # 10 MB
    assert near_duplicate_pairs(frame([large, large + " end", "a b c d"])).height == 1


def test_an_answer_too_large_for_memory_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 1000)
    with pytest.raises(DataError, match="More than 1,000 pairs"):
        near_duplicate_pairs(frame(["the same four words"] * 100))


@pytest.mark.parametrize(("threshold", "ngram"), [(0.0, 3), (1.1, 3), (0.7, 0)])
def test_settings_that_mean_nothing_are_refused(threshold: float, ngram: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        near_duplicate_pairs(frame(["a"]), threshold, ngram)


def test_a_row_id_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="unique"):
        near_duplicate_pairs(pl.DataFrame({"row_id": ["a", "a"], "text": ["x", "y"]}))
