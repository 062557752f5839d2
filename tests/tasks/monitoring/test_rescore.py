"""rescore without a model: which rows are asked, and when the champion counts as worse."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from tasks.core.row import ROW_SCHEMA
from tasks.facts.watched import RescoreFacts, Share
from tasks.metrics.intervals import rate
from tasks.monitoring.rescore import judge_drop, newest
from tasks.monitoring.retrain_rule import WatchSettings


def rows(*dates: str | None) -> pl.DataFrame:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    told = [
        {"row_id": f"{n:064}", "source": "a", "line": 1, "messages": messages, "meta": json.dumps({"created_at": date})}
        for n, date in enumerate(dates)
    ]
    return pl.DataFrame(told, schema=ROW_SCHEMA)


def test_the_newest_rows_are_asked_and_those_without_a_date_last() -> None:
    given = rows("2026-01-05", None, "2026-03-01", "2025-12-31")
    order = [int(row_id) for row_id in newest(given, 9)["row_id"]]
    assert order == [2, 0, 3, 1]
    assert [int(row_id) for row_id in newest(given.reverse(), 2)["row_id"]] == [2, 0]


def told(right: int, n: int, was: float | None = 0.9, **rule: Any) -> RescoreFacts:
    interval = rate(right, n, 0.95)
    now = Share(value=interval.value, low=interval.low, high=interval.high, n=n)
    registered = None if was is None else Share(value=was, low=was - 0.05, high=was + 0.05, n=150)
    return judge_drop(WatchSettings(**rule), "intent", now, registered)


@pytest.mark.parametrize(("right", "below"), [(120, True), (140, True), (150, False), (190, False)])
def test_the_whole_interval_must_lie_below_the_margin(right: int, below: bool) -> None:
    assert told(right, 200).below is below


def test_too_few_rows_decide_nothing() -> None:
    assert not told(0, 49).below


def test_without_a_registered_figure_or_with_a_margin_of_nought_there_is_no_verdict() -> None:
    assert not told(0, 200, None).below
    assert not told(0, 200, accuracy_drop=0).below


def test_the_sentence_has_both_figures_with_their_intervals_and_sizes() -> None:
    said = told(120, 200).told
    assert said.startswith(
        "intent 60.0 % [53.0, 66.6] of 200 newest rows; registered with 90.0 % [85.0, 95.0] of 150 holdout"
    )
    assert said.endswith("all of the interval is below 80.0%")
