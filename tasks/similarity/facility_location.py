"""Facility location: choose rows that represent the rest, so that every row has a chosen one near to it.

Greedy facility location: the next chosen row is the one that brings the most likeness to rows that have none near yet.
Of all methods as fast as this none is proven to come nearer the best choice (Nemhauser, Wolsey and Fisher 1978: within
1 - 1/e). Lazily evaluated (Minoux 1978): what a row would bring only falls, so most rows need not be asked again.

Its cost is the square of the rows, so many rows are first cut into blocks of neighbours, in half by their main
direction and again, and the places are shared out among the blocks. Time then grows with the rows, and no step draws by
chance.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.similarity.tfidf_vectors import Vectors, one_thread

Places = NDArray[np.int64]

BLOCK = 1_000  # rows compared all with all; likeness among 2,000 takes four times the memory for the same choice
MANY = 8  # places a block needs on average, or sharing them out is mostly rounding
PIECE = 4_096  # rows compared with the chosen at a time


def cover(vectors: Vectors, places: int) -> Places:
    """Rows chosen to stand for all, sorted. vectors: length 1 or 0, in an order that is not the data's; places: at
    least 1.
    """
    with one_thread():
        return np.sort(_cover(vectors, np.arange(len(vectors)), np.ones(len(vectors), dtype=np.float32), places))


def nearest_chosen(vectors: Vectors, chosen: Places) -> tuple[Places, Vectors]:
    """For each row the chosen row most like it, and how like (cosine); a chosen row's is itself."""
    who, like = np.empty(len(vectors), dtype=np.int64), np.empty(len(vectors), dtype=np.float32)
    with one_thread():
        for block in _blocks(vectors, np.arange(len(vectors))):
            here = np.intersect1d(block, chosen)
            here = here if len(here) else chosen
            for start in range(0, len(block), PIECE):
                rows = block[start : start + PIECE]
                likeness = vectors[rows] @ vectors[here].T
                best = likeness.argmax(axis=1)
                who[rows], like[rows] = here[best], likeness[np.arange(len(rows)), best]
    who[chosen], like[chosen] = chosen, 1
    return who, like


def _cover(vectors: Vectors, rows: Places, weight: Vectors, places: int) -> Places:
    """`places` of `rows`; weight: how many rows each of them speaks for."""
    if places >= len(rows):
        return rows
    if len(rows) <= BLOCK:
        return rows[_greedy(vectors[rows], weight, places)]
    at = np.empty(len(vectors), dtype=np.int64)
    at[rows] = np.arange(len(rows))
    blocks = list(_blocks(vectors, rows))
    enough = places >= MANY * len(blocks)
    shares = _shares([float(weight[at[block]].sum()) for block in blocks], [len(block) for block in blocks], places)
    picked = [
        block[_greedy(vectors[block], weight[at[block]], min(share if enough else 2 * MANY, len(block)))]
        for block, share in zip(blocks, shares, strict=True)
        if share or not enough
    ]
    if enough:
        return np.concatenate(picked)
    # Too few places to share out: each block names speakers, and the places go to the best of those.
    spoken = [_spoken_for(vectors, block, some, weight[at[block]]) for block, some in zip(blocks, picked, strict=True)]
    return _cover(vectors, np.concatenate(picked), np.concatenate(spoken), places)


def _spoken_for(vectors: Vectors, block: Places, picked: Places, weight: Vectors) -> Vectors:
    nearest_picked = (vectors[block] @ vectors[picked].T).argmax(axis=1)
    return np.bincount(nearest_picked, weights=weight, minlength=len(picked)).astype(np.float32)


def _greedy(vectors: Vectors, weight: Vectors, places: int) -> list[int]:
    """Positions of `places` rows in the order of their choice; of equals the first."""
    like = np.maximum(vectors @ vectors.T, 0)
    near = np.zeros(len(vectors), dtype=np.float32)
    queue = [(-float(gain), row) for row, gain in enumerate(like @ weight)]
    heapq.heapify(queue)
    chosen: list[int] = []
    while queue and len(chosen) < places:
        _, row = heapq.heappop(queue)
        gain = -float(np.maximum(like[row] - near, 0) @ weight)
        if not queue or (gain, row) <= queue[0]:
            chosen.append(row)
            near = np.maximum(near, like[row])
        else:
            heapq.heappush(queue, (gain, row))
    return chosen


def _blocks(vectors: Vectors, rows: Places) -> Iterator[Places]:
    """`rows` in blocks of at most BLOCK: cut at the median along the direction in which they differ most."""
    if len(rows) <= BLOCK:
        yield rows
        return
    centred = vectors[rows] - vectors[rows].mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(centred @ axes[:, -1], kind="stable")
    for half in (order[: len(order) // 2], order[len(order) // 2 :]):
        yield from _blocks(vectors, rows[np.sort(half)])


def _shares(weights: list[float], sizes: list[int], places: int) -> list[int]:
    """`places` shared out in proportion to the weights, no block more than its size; remainders to
    the largest first.
    """
    exact = [places * weight / sum(weights) for weight in weights]
    shares = [min(int(share), size) for share, size in zip(exact, sizes, strict=True)]
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    while (left := places - sum(shares)) > 0:
        free = [i for i in by_remainder if shares[i] < sizes[i]][:left]
        for i in free:
            shares[i] += 1
    return shares
