"""Text vectors: texts that say the same lie near one another, and neither threads nor the way they
are made move them.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tasks.similarity import tfidf_vectors
from tasks.similarity.tfidf_vectors import text_vectors

SAME = ["where is my parcel", "my parcel, where is it?", "the invoice is wrong", "there is an error on the invoice"]


def many(rows: int) -> list[str]:
    """Texts of twelve words out of forty of one of five topics, the topic being row % 5."""
    digits = [hashlib.sha256(str(row).encode()).digest() for row in range(rows)]
    return [" ".join(f"{'vwxyz'[row % 5] * 3}{byte % 40}" for byte in digit[:12]) for row, digit in enumerate(digits)]


def test_texts_about_the_same_are_nearest_each_other() -> None:
    near = text_vectors(SAME) @ text_vectors(SAME).T
    np.fill_diagonal(near, -1)
    assert near.argmax(axis=1).tolist() == [1, 0, 3, 2]


def test_spelling_mistakes_stay_near() -> None:
    made = text_vectors(["mising parcle", "my parcel is missing", "a coupon for march"])
    assert made[0] @ made[1] > 0.1 > made[0] @ made[2] + 0.05


def test_every_vector_has_length_one_or_an_empty_text_behind_it() -> None:
    made = text_vectors([*many(20), "?!", ""])
    assert np.allclose(np.linalg.norm(made, axis=1), [1] * 21 + [0], atol=1e-5)
    assert not text_vectors(["", "?!"]).any()


def test_condensed_vectors_keep_topics_apart_and_do_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = many(300)
    monkeypatch.setattr(tfidf_vectors, "EXACT_ROWS", 100)
    whole = text_vectors(texts, 8)
    assert whole.shape == (300, 8)
    near = whole @ whole.T
    same = np.arange(300)[:, None] % 5 == np.arange(300) % 5
    assert near[same].mean() > 0.5 > near[~same].mean() + 0.4
    monkeypatch.setattr(tfidf_vectors, "PIECE", 70)
    assert np.allclose(text_vectors(texts, 8), whole, atol=1e-6)


@pytest.mark.parametrize("exact", [1000, 100])
def test_copies_of_one_text_and_texts_with_nothing_in_common_have_vectors(
    exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfidf_vectors, "EXACT_ROWS", exact)
    copies = text_vectors(["a"] * 300)
    assert np.allclose(copies @ copies[0], 1, atol=1e-5)
    strangers = text_vectors([chr(0x4E00 + 20 * n) * 3 for n in range(300)])
    assert np.isfinite(strangers).all()


@pytest.mark.parametrize("exact", [1000, 100])
def test_the_number_of_threads_changes_no_bit(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfidf_vectors, "EXACT_ROWS", exact)
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            made.append(text_vectors(many(400), 16).tobytes())
    assert made[0] == made[1]
