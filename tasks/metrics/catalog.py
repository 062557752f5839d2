"""Every metric, once, in falling gravity: an answer that fails an early one is not worth reading for a later one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tasks.metrics import (
    all_graded,
    call_arguments,
    call_due,
    call_name,
    call_schema,
    exact,
    graded_field,
    json_valid,
    schema_valid,
)
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric
from tasks.metrics.reference import Reference

METRICS: tuple[Callable[[AnswerSettings], Sequence[Metric]], ...] = (
    json_valid.metrics,
    schema_valid.metrics,
    graded_field.metrics,
    all_graded.metrics,
    call_due.metrics,
    call_schema.metrics,
    call_name.metrics,
    call_arguments.metrics,
    exact.metrics,
)


def metrics_of(answer: AnswerSettings) -> tuple[Metric, ...]:
    """What answers of this form may be scored by; which of them a set has is seen once its rows are read."""
    return tuple(metric for metrics in METRICS for metric in metrics(answer))


def measured_on(references: Iterable[Reference], metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Those of `metrics` that these rows have, in the same order."""
    rows = list(references)
    return tuple(m for m in metrics if sum(map(m.applies, rows)) >= m.least_rows)


def headline(metrics: Sequence[Metric]) -> Metric:
    """The one of `metrics` that speaks for a variant."""
    return max(metrics, key=lambda metric: metric.headline)
