"""What evaluate hands on: every metric of every variant on every slice, with intervals, and the paired differences."""

from __future__ import annotations

from tasks.core.facts import Facts


class Measured(Facts):
    """A metric of a variant on a slice: `right` of `n` rows, the share `value` and its interval."""

    variant: str
    slice: str
    metric: str
    right: int
    value: float
    low: float
    high: float
    n: int


class Difference(Facts):
    """The tuned model against a baseline on the same n rows.

    wins: rows that only the tuned model has right. losses: rows that only the baseline has right.
    """

    baseline: str
    slice: str
    metric: str
    wins: int
    losses: int
    low: float
    high: float
    n: int
    difference: float


class Scores(Facts):
    """variants: in the order that they are shown. best_baseline: empty without one.

    headline: the metric that speaks for all.
    metrics: of a slice those alone that any of its rows has. confidence: of each interval.
    """

    variants: list[str]
    best_baseline: str
    headline: str
    confidence: float
    metrics: list[Measured]
    differences: list[Difference]

    def find(self, variant: str, slice: str, metric: str) -> Measured | None:
        """What was measured there; None where nothing was."""
        wanted = (variant, slice, metric)
        return next((m for m in self.metrics if (m.variant, m.slice, m.metric) == wanted), None)

    def cell(self, variant: str, slice: str, metric: str) -> Measured:
        """What was measured there. Raises KeyError where nothing was."""
        if found := self.find(variant, slice, metric):
            return found
        raise KeyError(f"{metric} of {variant} on {slice} was not measured")
