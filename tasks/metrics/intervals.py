"""Intervals for shares of yes/no scores, for means of numbers, and for paired differences between two variants on the
same rows.

One rule everywhere: the interval reaches as far as the farther of two classic intervals. Of yes/no scores both are
computed from counts alone:

- The percentile bootstrap over rows (Efron & Tibshirani 1993, ch. 13). A resample of yes/no scores is a sum of n
  independent draws, so its distribution is computed exactly, by convolution: their "ideal bootstrap", of infinitely
  many resamples, with neither a seed nor noise. Alone it claims certainty when all rows agree (156 of 156 gives [1, 1])
  and is too short on the side away from the edge: with 35 rows, a model whose true share is the floor of 0.90 itself
  would be called above that floor 12 % of the time.
- The score interval: Wilson (1927) for a share, Tango (1998, Statistics in Medicine 17:891) for a paired difference. It
  never collapses (35 of 35 gives [0.901, 1]), and its difference is above 0 exactly when McNemar's test says so. Alone
  it is too short on the side towards the edge (Brown, Cai & DasGupta 2001, Statistical Science 16:101).

Each is weak where the other is strong. Together, at 95 %, they cover the true share at least 92 % of the time and 96 to
97 % on average (shares from 0.5 to 0.999, n from 20 to 200), where Wilson alone falls to 84 % and the bootstrap to 2 %;
for paired differences at least 94 %, where Tango falls to 92 % and the bootstrap to 64 %. The tests compute these
figures (tests/tasks/metrics/test_intervals.py).

Of numbers, whose scale and ends are not known, they are Student's t and the bias-corrected and accelerated bootstrap
(Efron 1987, JASA 82:171; by SciPy, with one seed), which follows a skewed metric to its longer side. Both can know only
the numbers they have seen: where all agree there is no width. A paired difference is the mean of the rows' differences.

Rows count as drawn at random: an interval knows nothing of drift. Where rows repeat, what was drawn are their groups:
the bootstrap draws groups (Field & Welsh 2007, J. R. Stat. Soc. B 69:369), and the other interval counts as many rows
as the groups are worth, (sum of sizes)^2 / sum of sizes^2 (Kish 1965, with the rows of a group fully alike, which those
of one question are under greedy decoding). Without repeats both are what they are for rows, to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RESAMPLES = 4_999  # the 125th of a sorted side is the end at 95 %: its own noise is small beside the width
BATCH = 100  # resamples at a time: all at once would be some hundred megabytes for ten thousand rows
BISECTIONS = 60  # halvings of [-1, 1]: past the last bit of a float


@dataclass(frozen=True)
class Interval:
    """A measured value with its two-sided interval. n: rows.

    As shares, 0 to 1 for a rate, -1 to 1 for a difference of two; of a mean in the metric's own unit.
    """

    value: float
    low: float
    high: float
    n: int


@lru_cache(maxsize=4096)
def rate(right: int, n: int, confidence: float) -> Interval:
    """The share `right / n`. Raises ValueError unless 0 <= right <= n and n >= 1."""
    _check_counts(n, right)
    scores = wilson(right, n, confidence)
    resampled = bootstrap(right, 0, n, confidence)
    return Interval(right / n, min(scores[0], resampled[0]), max(scores[1], resampled[1]), n)


@lru_cache(maxsize=4096)
def paired_difference(wins: int, losses: int, n: int, confidence: float) -> Interval:
    """The difference of two shares on the same n rows, (wins - losses) / n.

    wins: rows only the first variant has right; losses: rows only the second has right; on all others they agree.
    Raises ValueError unless the counts fit into n.
    """
    _check_counts(n, wins, losses)
    scores = tango(wins, losses, n, confidence)
    resampled = bootstrap(wins, losses, n, confidence)
    return Interval((wins - losses) / n, min(scores[0], resampled[0]), max(scores[1], resampled[1]), n)


def mean(values: Sequence[float], confidence: float) -> Interval:
    """The mean of one number a row; of paired rows, of their differences. Raises ValueError for fewer than two."""
    from scipy import stats

    if len(values) < 2:
        raise ValueError(f"{len(values)} numbers have no interval: how they spread is not seen in fewer than two")
    numbers = np.asarray(values, dtype=np.float64)
    middle, error = float(numbers.mean()), float(stats.sem(numbers))
    if np.ptp(numbers) == 0:
        return Interval(middle, middle, middle, len(numbers))
    student = stats.t.interval(confidence, len(numbers) - 1, middle, error)
    resampled = stats.bootstrap(
        (numbers,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    ends = [float(end) for end in (*student, *resampled) if math.isfinite(end)]
    return Interval(middle, min(ends), max(ends), len(numbers))


def grouped_rate(scores: Sequence[float], groups: Sequence[int], confidence: float) -> Interval:
    """The share of rows that score 1. groups: a number a row, equal for rows that repeat one another."""
    n, worth = len(scores), effective_rows(groups)
    value = sum(scores) / n
    ends = [*wilson(value * worth, worth, confidence), *_drawn_groups(scores, groups, confidence)]
    return Interval(value, min(ends), max(ends), n)


def grouped_difference(scores: Sequence[float], groups: Sequence[int], confidence: float) -> Interval:
    """The difference of two shares, of 1 for each row that only the first has right and -1 for each that only the
    second has.
    """
    n, worth = len(scores), effective_rows(groups)
    wins, losses = (worth / n * sum(score == sign for score in scores) for sign in (1, -1))
    ends = [*tango(wins, losses, worth, confidence), *_drawn_groups(scores, groups, confidence)]
    return Interval(sum(scores) / n, min(ends), max(ends), n)


def grouped_mean(values: Sequence[float], groups: Sequence[int], confidence: float) -> Interval:
    """The mean of one number a row. Raises ValueError for fewer than two groups."""
    from scipy import stats

    sums, sizes = _group_sums(values, groups)
    if len(sums) < 2:
        raise ValueError("numbers of one group have no interval: how groups spread is not seen in one")
    middle = float(sums.sum() / sizes.sum())
    spread = ((sums - middle * sizes) ** 2).sum() * len(sums) / (len(sums) - 1)
    reach = float(stats.t.ppf((1 + confidence) / 2, len(sums) - 1)) * math.sqrt(spread) / float(sizes.sum())
    ends = [middle - reach, middle + reach, *_drawn_groups(values, groups, confidence)]
    return Interval(middle, min(ends), max(ends), len(values))


def effective_rows(groups: Sequence[int]) -> float:
    """How many rows without repeats are worth as much: as many as there are where none repeats, else fewer."""
    sizes = np.unique(np.asarray(groups), return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _group_sums(values: Sequence[float], groups: Sequence[int]) -> tuple[Floats, Floats]:
    """Of each group the sum of its rows' values, and its rows."""
    _, place, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    sums = np.bincount(place, np.asarray(values, dtype=np.float64)).astype(np.float64)
    return sums, sizes.astype(np.float64)


def _drawn_groups(values: Sequence[float], groups: Sequence[int], confidence: float) -> tuple[float, float]:
    """The percentile bootstrap of the mean of rows, over groups; with one seed."""
    sums, sizes = _group_sums(values, groups)
    dice, even = np.random.default_rng(0), np.full(len(sums), 1 / len(sums))
    drawn = (dice.multinomial(len(sums), even, size=BATCH) for _ in range(-(-RESAMPLES // BATCH)))
    means = np.concatenate([times @ sums / (times @ sizes) for times in drawn])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def wilson(right: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval for a share: the floors that a score test would not reject."""
    z2 = _z(confidence) ** 2
    middle = (right + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (right * (n - right) / n + z2 / 4)) / (n + z2)
    low = 0.0 if right == 0 else middle - half  # exact at the edges, where rounding would leave 1e-17
    return low, 1.0 if right == n else middle + half


def tango(wins: float, losses: float, n: float, confidence: float) -> tuple[float, float]:
    """Tango's score interval for a paired difference: the differences that a score test would not reject."""
    return _tango_low(wins, losses, n, confidence), -_tango_low(losses, wins, n, confidence)


def bootstrap(wins: int, losses: int, n: int, confidence: float) -> tuple[float, float]:
    """The ideal percentile bootstrap of (wins - losses) / n; with no losses, of the share wins / n."""
    size = 1 << (2 * n).bit_length()  # room for every sum from -n to n; a power of two, which the transform likes
    one_row = np.zeros(size)  # index s stands for a sum of s, modulo the size: -1 is the last
    one_row[[1, -1, 0]] = np.array([wins, losses, n - wins - losses]) / n
    sums = np.fft.irfft(np.fft.rfft(one_row) ** n, size)
    cumulative = np.cumsum(np.roll(sums, n)[: 2 * n + 1])  # now index i stands for a sum of i - n
    tail = (1 - confidence) / 2
    low, high = np.searchsorted(cumulative, [tail, 1 - tail])
    return (int(low) - n) / n, (int(high) - n) / n


def rows_to_decide(value: float, bound: float, variance: float, confidence: float) -> int | None:
    """About how many rows would part `value` from `bound`, if `value` held; None when they are equal.

    variance: of one row's score. From value +- z * sqrt(variance / n), the large-sample form of both intervals.
    """
    gap = abs(value - bound)
    return None if gap < 1e-9 else math.ceil(variance * (_z(confidence) / gap) ** 2)


def variance_within(low: float, high: float, n: int, confidence: float) -> float:
    """The variance of one row's score that an interval of n rows speaks of, in its large-sample form."""
    return n * ((high - low) / 2 / _z(confidence)) ** 2


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _tango_low(wins: float, losses: float, n: float, confidence: float) -> float:
    z, low, high = _z(confidence), -1.0, (wins - losses) / n
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if wins - losses - n * middle > z * math.sqrt(n * _variance(middle, wins, losses, n)):
            low = middle
        else:
            high = middle
    return low


def _variance(difference: float, wins: float, losses: float, n: float) -> float:
    """Of one row's difference, with the nuisance share (rows lost) at its most likely value given `difference`."""
    b = (2 * n - wins + losses) * difference - wins - losses
    c = -losses * difference * (1 - difference)
    lost = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    return max(2 * lost + difference * (1 - difference), 0.0)


def _check_counts(n: int, *counts: int) -> None:
    if n < 1 or min(counts) < 0 or sum(counts) > n:
        raise ValueError(f"counts {counts} do not fit into {n} rows")
