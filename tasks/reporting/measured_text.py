"""Measured values as a page shows them: shares in percent, their differences in points, numbers in their own unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from tasks.core.text import display
from tasks.core.text.interval_text import decimals, number_with_interval
from tasks.facts.scores import Difference, Measured, MetricWords
from tasks.facts.verdict import JudgedRule
from tasks.metrics.intervals import Interval
from tasks.reporting import charts

SHARES = (0.0, 1.0)
NOTHING = "—"  # of a rule about a champion that could not be asked


def value(cell: Measured) -> str:
    """`94.2 %` or `1.03`."""
    return _number(cell.value, cell) if cell.is_number else display.percent(cell.value)


def span(cell: Measured | Difference | JudgedRule) -> str:
    """The interval: `[89.1, 97.8]` in percent or points, or `[0.98, 1.08]`."""
    if not cell.n:
        return ""
    signed = isinstance(cell, Difference) or bool(isinstance(cell, JudgedRule) and cell.baseline)
    if not cell.is_number:
        return display.span(cell.low, cell.high, sign=signed)
    told = number_with_interval(cell.low, cell.low, cell.high, sign="+" if signed else "")
    return _minus(told[told.index("[") :])


def share_span(interval: Interval) -> str:
    """The interval of a share: `[89.1, 97.8]`, in percent."""
    return display.span(interval.low, interval.high)


def gain(cell: Difference) -> str:
    """`+51.9 points` or `+0.21`."""
    return _number(cell.difference, cell, "+") if cell.is_number else _points(cell.difference)


def outcome(cell: Difference, metric: MetricWords) -> str:
    """What a difference says of the tuned model."""
    low, high = (-cell.high, -cell.low) if metric.lower_is_better else (cell.low, cell.high)
    return "better" if low > 0 else "worse" if high < 0 else "neither, as far as these rows tell"


def required(rule: JudgedRule) -> str:
    """What a rule asks for: `90.0 %`, `1.03`, or of a difference `above 0`, `better` where it is one of numbers; what
    the margin allows where there is one.
    """
    if not rule.n:
        return NOTHING
    if rule.baseline and rule.required:
        return _minus(f"{rule.required:+g}") if rule.is_number else _points(rule.required)
    if rule.baseline:
        return "better" if rule.is_number else "above 0"
    return _minus(f"{rule.required:g}") if rule.is_number else display.percent(rule.required)


def measured(rule: JudgedRule) -> str:
    """What a rule was judged by: `94.2 %`, `+51.9 points`, or a number; a dash where there was nothing to judge."""
    if not rule.n:
        return NOTHING
    if rule.is_number:
        return _number(rule.measured, rule, "+" if rule.baseline else "")
    return _points(rule.measured) if rule.baseline else display.percent(rule.measured)


def scale_of(cells: Iterable[Measured]) -> tuple[float, float]:
    """The ends of the scale that these cells of one metric are drawn on: of shares all, of numbers what holds them."""
    every = list(cells)
    if not every or not every[0].is_number:
        return SHARES
    return _around([end for cell in every for end in (cell.low, cell.high)])


def strip(cells: Sequence[tuple[str, Measured | None]], label: str, scale: tuple[float, float]) -> Markup:
    """Dots with their intervals, one below the other. cells: (CSS class, what was measured); None is left out."""
    marks = [(name, cell.value, cell.low, cell.high) for name, cell in cells if cell]
    return charts.intervals(marks, label, scale, grid=scale == SHARES)


def gauge(rule: JudgedRule, label: str) -> Markup:
    """A rule's interval beside what it asks for."""
    if not rule.n:
        return Markup()
    mark = ("tuned", rule.measured, rule.low, rule.high)
    if rule.is_number:
        scale = _around([rule.low, rule.high, rule.required])
    else:
        scale = (-1.0, 1.0) if rule.baseline else SHARES
    return charts.intervals([mark], label, scale, rule.required, grid=not rule.is_number)


def _around(numbers: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest, with a tenth of their distance beyond each."""
    low, high = min(numbers), max(numbers)
    margin = (high - low) / 10 or max(abs(low) / 10, 1.0)
    return low - margin, high + margin


def _points(difference: float) -> str:
    return f"{display.points(difference)} points"


def _number(number: float, cell: Measured | Difference | JudgedRule, sign: str = "") -> str:
    return _minus(f"{number:{sign},.{decimals(cell.low, cell.high)}f}")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
