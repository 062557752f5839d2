"""Scores of many answers: a column a metric, and what its rows come to with an interval."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tasks.metrics.base import Metric
from tasks.metrics.intervals import (
    Interval,
    grouped_difference,
    grouped_mean,
    grouped_rate,
    mean,
    paired_difference,
    rate,
)
from tasks.metrics.reference import ModelAnswer, Reference


def score_column(metric: Metric, references: Sequence[Reference], answers: Sequence[ModelAnswer | None]) -> pl.Series:
    """A metric's score of each answer, as booleans or numbers; null where the row has none.

    answers: None for one that was refused.
    """
    scores = [metric.of(reference, answer) for reference, answer in zip(references, answers, strict=True)]
    return pl.Series(metric.name, scores, pl.Float64 if metric.is_number else pl.Boolean)


def interval_of(scores: pl.Series, confidence: float, groups: Sequence[int] = ()) -> Interval:
    """The share of yes among booleans, or the mean of numbers, of a column without nulls.

    groups: a number a row, equal for rows that repeat one another; empty where none does.
    """
    if len(set(groups)) < len(groups):
        grouped = grouped_rate if scores.dtype == pl.Boolean else grouped_mean
        return grouped(scores.cast(pl.Float64).to_list(), groups, confidence)
    if scores.dtype == pl.Boolean:
        return rate(int(scores.sum()), scores.len(), confidence)
    return mean(scores.to_list(), confidence)


def wins_and_losses(one: pl.Series, other: pl.Series) -> tuple[int | None, int | None]:
    """Rows that only `one` has right, and that only `other` has; None of numbers."""
    if one.dtype != pl.Boolean:
        return None, None
    return int((one & ~other).sum()), int((~one & other).sum())


def difference_of(one: pl.Series, other: pl.Series, confidence: float, groups: Sequence[int] = ()) -> Interval:
    """By how much `one` is above `other`, paired row by row. groups: as above."""
    if len(set(groups)) < len(groups):
        grouped = grouped_difference if one.dtype == pl.Boolean else grouped_mean
        return grouped((one.cast(pl.Float64) - other.cast(pl.Float64)).to_list(), groups, confidence)
    wins, losses = wins_and_losses(one, other)
    if wins is None or losses is None:
        return mean((one - other).to_list(), confidence)
    return paired_difference(wins, losses, one.len(), confidence)
