"""survivors: the same rows stay whether all pairs are written out or the rows are halved and halved again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.similarity import leader_clusters as module
from tasks.similarity.leader_clusters import Cosine, Jaccard, Relation, Same, survivors
from tasks.similarity.word_ngrams import jaccard

WORDS = st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join)
TEXTS = st.lists(WORDS | st.sampled_from(["", "!?", "👍"]), max_size=40)


def like(a: str, b: str) -> float:
    return jaccard(a, b, 2)


def greedy(texts: Sequence[Sequence[str]], groups: Sequence[int], limit: float) -> list[int]:
    kept: list[int] = []
    for row, (text, group) in enumerate(zip(texts, groups, strict=True)):
        same = (other for other in kept if groups[other] == group)
        if not any(min(map(like, text, texts[other])) >= limit for other in same):
            kept.append(row)
    return kept


def settled(count: int, relations: Sequence[Relation]) -> tuple[list[int], list[tuple[int, int, float]]]:
    """Rows that stay, and (row that goes, row that stays, score) of every pair told."""
    stays, told = survivors(count, relations)
    pairs = [
        (int(a if stays[b] else b), int(b if stays[b] else a), float(score))
        for edges in told
        for a, b, score in zip(edges.a, edges.b, edges.score, strict=True)
    ]
    return np.flatnonzero(stays).tolist(), sorted(pairs)


@pytest.mark.parametrize("halves", [False, True], ids=["at once", "by halves"])
@settings(max_examples=100)
@given(TEXTS, st.data(), st.sampled_from([0.5, 0.7, 1.0]))
def test_those_stay_that_brute_force_keeps(halves: bool, texts: list[str], data: st.DataObject, limit: float) -> None:
    groups = data.draw(st.lists(st.integers(0, 1), min_size=len(texts), max_size=len(texts)))
    number = {key: i for i, key in enumerate(dict.fromkeys(zip(groups, texts, strict=True)))}
    key = np.array([number[pair] for pair in zip(groups, texts, strict=True)], np.int64)
    column = [pl.Series(texts, dtype=pl.String)]
    relations = [Same(key), Jaccard(column, np.array(groups, np.int64), limit, 2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_PAIRS", 0 if halves else 100_000)  # at 0, dense rows are halved down to five
        kept, pairs = settled(len(texts), relations)
    assert kept == greedy([[text] for text in texts], groups, limit)
    for gone, stays, score in pairs:
        assert score >= limit
        assert score == pytest.approx(like(texts[gone], texts[stays]))
    assert {gone for gone, _, _ in pairs} == set(range(len(texts))) - set(kept)


@settings(max_examples=100)
@given(st.lists(st.tuples(WORDS, WORDS), max_size=25), st.sampled_from([0.5, 0.7]))
def test_rows_of_two_parts_are_alike_only_if_both_parts_are(rows: list[tuple[str, str]], limit: float) -> None:
    distinct = list(dict.fromkeys(rows))
    columns = [pl.Series([row[i] for row in distinct], dtype=pl.String) for i in range(2)]
    relation = Jaccard(columns, np.zeros(len(distinct), np.int64), limit, 2)
    edges = relation.within(np.arange(len(distinct)), 10**9)
    assert edges is not None
    told = {(a, b): score for a, b, score in zip(edges.a.tolist(), edges.b.tolist(), edges.score, strict=True)}
    truth = {
        (a, b): min(map(like, distinct[a], distinct[b]))
        for a, b in product(range(len(distinct)), repeat=2)
        if a < b and min(map(like, distinct[a], distinct[b])) >= limit
    }
    assert told == pytest.approx(truth)


def test_cosines_are_those_of_every_pair_in_a_group_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = draw.integers(0, 2, 60)
    truth = {
        (a, b)
        for a, b in product(range(60), repeat=2)
        if a < b and groups[a] == groups[b] and round(float(vectors[a].astype(float) @ vectors[b]), 4) >= 0.8
    }
    for cells in (100, 1 << 24):
        monkeypatch.setattr(module, "CELLS", cells)
        relation = Cosine(vectors, groups, 0.8)
        edges = relation.within(np.arange(60), 10**9)
        assert edges is not None
        assert set(zip(edges.a.tolist(), edges.b.tolist(), strict=True)) == truth
        assert relation.within(np.arange(60), len(truth) - 1) is None
        between = relation.between(np.arange(30, 60), np.arange(30))
        assert set(zip(between.a.tolist(), between.b.tolist(), strict=True)) == {
            (a, b) for a, b in truth if a < 30 <= b
        }


def test_a_crowd_is_settled_without_its_pairs() -> None:
    draw = np.random.default_rng(0)
    text = "dear {} your parcel was sent today and {} will come within three days if nothing goes wrong on its {} way"
    texts = pl.Series([text.format(*draw.integers(0, 200, 3)) for _ in range(20_000)])  # some 20 million pairs
    stays, (edges,) = survivors(len(texts), [Jaccard([texts], np.zeros(len(texts), np.int64), 0.5, 2)])
    assert stays[0]
    assert set(np.flatnonzero(~stays)) == {b if stays[a] else a for a, b in zip(edges.a, edges.b, strict=True)}
    assert edges.score.min() >= 0.5
