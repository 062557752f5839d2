"""Drift tests: no alarm where there is nothing, an alarm where there is something, and the same figures whatever the
order.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from tasks.metrics import drift
from tests.support.drifting_messages import LEVEL, alarms, found, sent

SEEDS = 40


@pytest.mark.parametrize("rows", [50, 300])
def test_batches_of_the_same_kind_raise_no_alarm(rows: int) -> None:
    dice = np.random.default_rng(rows)
    tests = [found(sent(dice, 600), sent(dice, rows)) for _ in range(SEEDS)]
    # At 0.01, two of 40 are rare.
    assert sum(any(alarms(test, what) for what, test in look.items()) for look in tests) <= 1
    for what in ("length", "words", "labels"):  # and p is what it claims to be
        assert sum(look[what].p < 0.1 for look in tests) <= 10


def test_of_many_rows_a_trifle_is_significant_and_no_alarm() -> None:
    dice = np.random.default_rng(0)
    tests = found(sent(dice, 5000), sent(dice, 5000, {"parcel": 0.45, "refund": 0.33, "login": 0.22}))
    assert not tests["labels"].by_chance(LEVEL)
    assert not tests["words"].by_chance(LEVEL)
    assert not any(alarms(test, what) for what, test in tests.items())


@pytest.mark.parametrize("rows", [50, 300])
def test_a_batch_of_one_topic_is_an_alarm_by_words_and_labels_and_not_by_length(rows: int) -> None:
    dice = np.random.default_rng(rows)
    tests = found(sent(dice, 600), sent(dice, rows, {"parcel": 0, "refund": 0, "login": 1}))
    assert {what for what, test in tests.items() if alarms(test, what)} == {"words", "labels"}


def test_longer_messages_are_an_alarm_by_length() -> None:
    dice = np.random.default_rng(0)
    before, now = sent(dice, 600), sent(dice, 100)
    longer = now.with_columns(text=pl.concat_str("text", pl.lit(" "), "text"))
    assert alarms(found(before, longer)["length"], "length")


def test_a_digit_more_in_every_message_is_no_drift_and_half_as_long_is() -> None:
    sizes = pl.Series(20 + np.random.default_rng(0).integers(0, 3, 300))
    longer = drift.lengths(sizes, sizes + 2)
    assert not longer.by_chance(LEVEL)
    assert longer.effect == 0
    assert drift.lengths(sizes, sizes * 3 // 2).effect == 1
    assert drift.lengths(sizes, sizes // 2).effect == 1


def test_the_words_that_moved_are_named_and_a_word_of_one_row_is_not() -> None:
    before = pl.Series(["where is my parcel"] * 50)
    now = pl.Series(["where is my refund"] * 49 + ["where is jo"])
    moved = drift.words(before, now, most=9)[1]
    assert (moved[0].value, moved[0].before, moved[0].now) == ("parcel", 1, 0)
    assert "jo" not in [m.value for m in moved]


def test_the_order_of_rows_and_the_side_they_stand_on_change_nothing_but_the_sign() -> None:
    dice = np.random.default_rng(0)
    before, now = sent(dice, 200), sent(dice, 200, {"parcel": 0.2, "refund": 0.2, "login": 0.6})
    one, other = found(before, now), found(now, before)
    for what in one:
        assert one[what].statistic == pytest.approx(other[what].statistic)
        assert one[what].effect == pytest.approx(other[what].effect, abs=0.003)  # the mean over other draws
    assert found(before, now) == one


COUNTS = st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any)


@given(st.tuples(COUNTS, COUNTS))
def test_the_divergence_is_that_of_scipy(counts: tuple[list[int], list[int]]) -> None:
    one, other = (np.array([side], dtype=float) for side in counts)
    assert drift.divergence(one, other)[0] == pytest.approx(jensenshannon(one[0], other[0], base=2) ** 2, abs=1e-9)


@settings(max_examples=20)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_any_texts_whatever_give_figures_in_their_ranges(before: list[str], now: list[str]) -> None:
    test, moved = drift.words(pl.Series(before), pl.Series(now), 3)
    assert 0 <= test.effect <= 1
    assert 0 < test.p <= 1
    assert all(0 <= share <= 1 for m in moved for share in (m.before, m.now))
    told = drift.labels(pl.Series(before), pl.Series(now))
    assert 0 <= told.effect <= 1
    assert 0 < told.p <= 1


def test_what_is_drawn_does_not_depend_on_the_order_of_rows() -> None:
    rows = pl.DataFrame({"row_id": [f"{n:05}" for n in range(drift.MOST_ROWS + 10)]})
    assert drift.drawn(rows.reverse()).equals(drift.drawn(rows))
    assert drift.drawn(rows).height == drift.MOST_ROWS


def test_a_rule_of_nought_never_finds_anything() -> None:
    assert not drift.Test("any", 1, 0.0, 1.0).found(0.05, 0)
