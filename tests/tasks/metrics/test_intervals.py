"""Intervals: they keep their promise by exact computation, never collapse, and agree with published figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.text.interval_text import number_with_interval, percent_with_interval
from tasks.metrics.intervals import (
    bootstrap,
    effective_rows,
    grouped_difference,
    grouped_mean,
    grouped_rate,
    mean,
    paired_difference,
    rate,
    rows_to_decide,
    tango,
    wilson,
)

LEVEL = 0.95
Ends = tuple[float, float]


def combined_rate(right: int, n: int, confidence: float) -> Ends:
    return rate(right, n, confidence).low, rate(right, n, confidence).high


def combined_difference(wins: int, losses: int, n: int, confidence: float) -> Ends:
    return paired_difference(wins, losses, n, confidence).low, paired_difference(wins, losses, n, confidence).high


@cache
def log_factorials(n: int) -> np.ndarray:
    return np.array([math.lgamma(i + 1) for i in range(n + 1)])


def rate_coverage(method: Callable[[int, int, float], Ends], n: int) -> np.ndarray:
    """The exact chance that the interval holds the true share, for true shares from 0.5 to 0.999."""
    right = np.arange(n + 1)
    low, high = np.array([method(x, n, LEVEL) for x in range(n + 1)]).T
    f = log_factorials(n)
    shares = np.linspace(0.5, 0.999, 250)[:, None]
    chance = np.exp(f[n] - f[right] - f[n - right] + right * np.log(shares) + (n - right) * np.log1p(-shares))
    return (chance * ((low <= shares) & (shares <= high))).sum(axis=1)


def difference_coverage(method: Callable[[int, int, int, float], Ends], n: int) -> np.ndarray:
    """The exact chance that the interval holds the true difference, over a grid of shares won and lost."""
    cells = np.array([(w, x, n - w - x) for w in range(n + 1) for x in range(n + 1 - w)])
    low, high = np.array([method(int(w), int(x), n, LEVEL) for w, x, _ in cells]).T
    f = log_factorials(n)
    ways = f[n] - f[cells].sum(axis=1)
    grid = [(won / 20, lost / 20) for won in range(20) for lost in range(min(13, 21 - won))]
    chances = [np.exp(ways + cells @ np.log(np.clip([won, lost, 1 - won - lost], 1e-99, 1))) for won, lost in grid]
    truths = [won - lost for won, lost in grid]
    pairs = zip(truths, chances, strict=True)
    return np.array([c[(low <= t + 1e-9) & (high >= t - 1e-9)].sum() for t, c in pairs])


@pytest.mark.parametrize("n", [20, 35, 66, 156, 200])
def test_a_rate_is_covered_where_each_method_alone_fails(n: int) -> None:
    covered = rate_coverage(combined_rate, n)
    assert covered.min() > 0.92
    assert 0.955 < covered.mean() < 0.97  # honest, and not so wide as to be useless
    assert rate_coverage(lambda right, n, level: bootstrap(right, 0, n, level), n).min() < 0.2


def test_the_rate_coverage_that_the_module_names_is_what_the_methods_have() -> None:
    assert round(rate_coverage(wilson, 35).min(), 2) == 0.84
    assert round(rate_coverage(lambda right, n, level: bootstrap(right, 0, n, level), 20).min(), 2) == 0.02


def test_a_difference_is_covered_where_each_method_alone_fails() -> None:
    covered = difference_coverage(combined_difference, 20), difference_coverage(combined_difference, 35)
    assert min(map(np.min, covered)) > 0.94
    assert max(map(np.mean, covered)) < 0.97
    assert round(difference_coverage(tango, 35).min(), 2) == 0.92
    assert round(difference_coverage(bootstrap, 20).min(), 2) == 0.64


def test_a_model_at_the_floor_seldom_passes_though_a_bootstrap_alone_would_let_it() -> None:
    n, floor = 35, 0.90
    chance = [math.comb(n, x) * floor**x * (1 - floor) ** (n - x) for x in range(n + 1)]
    resampled = sum(p for x, p in enumerate(chance) if bootstrap(x, 0, n, LEVEL)[0] >= floor)
    combined = sum(p for x, p in enumerate(chance) if rate(x, n, LEVEL).low >= floor)
    assert round(resampled, 2) == 0.12
    assert combined < 0.03


def test_wilson_agrees_with_newcombe_1998() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81/263, 15/148, 0/20, 1/29
    assert wilson(81, 263, LEVEL) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148, LEVEL) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20, LEVEL) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29, LEVEL) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_tango_agrees_with_fagerland_2014() -> None:
    # Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33:2850: 1 and 7 discordant of 21 pairs
    assert tango(1, 7, 21, LEVEL) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_the_computed_bootstrap_is_what_resampling_gives() -> None:
    marks = np.array([1] * 14 + [-1] * 3 + [0] * 33)
    means = np.random.default_rng(0).choice(marks, (20_000, 50)).mean(axis=1)
    assert bootstrap(14, 3, 50, LEVEL) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=1.01 / 50)


@pytest.mark.parametrize("n", [1, 8, 35, 156])
def test_agreement_of_all_rows_is_never_certainty(n: int) -> None:
    assert rate(n, n, LEVEL).low < 1 == rate(n, n, LEVEL).high
    assert rate(0, n, LEVEL).low == 0 < rate(0, n, LEVEL).high
    same = paired_difference(0, 0, n, LEVEL)
    assert same.low < 0 < same.high
    assert same.low == pytest.approx(-same.high)


@given(st.integers(1, 120).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_rate_and_its_complement_mirror_each_other(counts: tuple[int, int]) -> None:
    right, n = counts
    one, other = rate(right, n, LEVEL), rate(n - right, n, LEVEL)
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1.01 / n)  # the bootstrap's steps


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 200))
def test_a_score_difference_is_above_zero_exactly_when_mcnemar_says_so(wins: int, losses: int, agree: int) -> None:
    low, high = tango(wins, losses, wins + losses + agree, LEVEL)
    z = (wins - losses) / math.sqrt(wins + losses) if wins + losses else 0.0
    assert -1 <= low <= high <= 1
    assert (low > 1e-12) == (z > 1.959963984540054)


def test_counts_that_do_not_fit_are_refused() -> None:
    for counts in ((0, 0), (3, 2), (-1, 5)):
        with pytest.raises(ValueError, match="do not fit"):
            rate(*counts, LEVEL)
    with pytest.raises(ValueError, match="do not fit"):
        paired_difference(3, 3, 5, LEVEL)


def test_the_number_of_rows_said_to_decide_is_the_number_that_decides() -> None:
    assert rows_to_decide(0.8, 0.7, 0.7 * 0.3, LEVEL) == 81
    assert rate(60, 75, LEVEL).low < 0.7 <= rate(68, 85, LEVEL).low  # both are 80 %
    assert rows_to_decide(0.7, 0.7, 0.21, LEVEL) is None


def test_what_is_shown_is_never_narrower_than_what_was_computed() -> None:
    assert percent_with_interval(0.9487, 0.9021, 0.9738) == "95 % [90, 98]"
    assert percent_with_interval(0.95, 0.29, 1.0, digits=1) == "95.0 % [29.0, 100.0]"
    assert percent_with_interval(0.51923, 0.43412, 0.59901, sign="+") == "+52 points [+43, +60]"
    assert percent_with_interval(-0.1, -0.2001, 0.0004, digits=1, sign="+") == "-10.0 points [-20.1, +0.1]"


@pytest.mark.parametrize("skew", [0.0, 0.8])
def test_a_mean_is_covered_where_a_metric_is_skewed_too(skew: float) -> None:
    rng = np.random.default_rng(7)
    truth = math.exp(skew**2 / 2) if skew else 0.0
    draws = (np.exp(rng.normal(0, skew, (300, 40))) if skew else rng.normal(0, 1, (300, 40))).tolist()
    held = [one.low <= truth <= one.high for one in (mean(values, LEVEL) for values in draws)]
    assert 0.91 < sum(held) / len(held) <= 1


def test_the_interval_of_a_mean_is_at_least_students_and_the_same_each_time() -> None:
    values = [1.0, 2.0, 2.5, 4.0, 9.0]
    got = mean(values, LEVEL)
    half = 2.776445 * np.std(values, ddof=1) / math.sqrt(5)  # t of 4 degrees of freedom
    assert got.value == pytest.approx(3.7)
    assert got.low <= 3.7 - half + 1e-5
    assert got.high >= 3.7 + half - 1e-5
    assert mean(values, LEVEL) == got
    assert mean([v + 1 for v in values], LEVEL).value == pytest.approx(4.7)


def test_numbers_that_agree_have_no_width_and_one_alone_has_no_interval() -> None:
    assert (mean([0.3] * 9, LEVEL).low, mean([0.3] * 9, LEVEL).high) == (pytest.approx(0.3), pytest.approx(0.3))
    for few in ([], [1.0]):
        with pytest.raises(ValueError, match="have no interval"):
            mean(few, LEVEL)


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((1.031, 0.982, 1.0811), "1.031 [0.982, 1.082]"),
        ((12_345.6, 12_000, 12_700), "12,346 [12,000, 12,700]"),
        ((0.00123, 0.0011, 0.0014), "0.00123 [0.00110, 0.00140]"),
        ((2.0, 2.0, 2.0), "2.000 [2.000, 2.000]"),
    ],
)
def test_a_number_is_told_with_two_digits_of_its_interval(ends: tuple[float, float, float], told: str) -> None:
    assert number_with_interval(*ends) == told
    assert number_with_interval(0.21, 0.15, 0.27, sign="+") == "+0.21 [+0.15, +0.27]"


def repeated(times: int, right: int, questions: int) -> tuple[list[float], list[int]]:
    """Rows of `questions` questions, each `times` times, of which `right` are answered right each time."""
    groups = [question for question in range(questions) for _ in range(times)]
    return [float(group < right) for group in groups], groups


@pytest.mark.parametrize("floor", [0.4, 0.5, 0.6, 0.7])
def test_a_model_at_the_floor_seldom_passes_by_rows_that_repeat(floor: float) -> None:
    chance = [math.comb(13, k) * floor**k * (1 - floor) ** (13 - k) for k in range(14)]
    passes = [grouped_rate(*repeated(10, k, 13), 0.95).low >= floor for k in range(14)]
    naive = [rate(10 * k, 130, 0.95).low >= floor for k in range(14)]
    assert sum(p for p, passed in zip(chance, passes, strict=True) if passed) < 0.05
    assert sum(p for p, passed in zip(chance, naive, strict=True) if passed) > 0.15


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([-1.0, 0.0, 1.0])), min_size=2, max_size=40))
def test_an_interval_over_groups_holds_the_value_and_is_wider_than_without_repeats(
    rows: list[tuple[int, float]],
) -> None:
    groups, scores = [group for group, _ in rows], [score for _, score in rows]
    difference = grouped_difference(scores, groups, 0.95)
    assert difference.low <= difference.value <= difference.high
    right = [float(score > 0) for score in scores]
    share = grouped_rate(right, groups, 0.95)
    assert share.low <= share.value <= share.high
    assert share == grouped_rate(right[::-1], groups[::-1], 0.95)
    if len(set(groups)) > 1:
        middle = grouped_mean(scores, groups, 0.95)
        assert middle.low <= middle.value <= middle.high


def test_repeats_are_worth_as_many_rows_as_there_are_questions() -> None:
    assert effective_rows([1, 2, 3, 4]) == 4
    assert effective_rows([1] * 10 + [2] * 10) == 2
    assert effective_rows([1, 1, 1, 2]) == 1.6
    scores, groups = repeated(10, 9, 13)
    assert wilson(9 / 13 * 13, 13, 0.95)[0] == pytest.approx(grouped_rate(scores, groups, 0.95).low, abs=0.02)
    assert grouped_difference(*repeated(10, 9, 13), 0.95).low > 0
    with pytest.raises(ValueError, match="one group"):
        grouped_mean([1.0, 2.0], [1, 1], 0.95)
