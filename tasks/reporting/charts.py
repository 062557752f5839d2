"""Small charts as inline SVG: no script, no font, no request, and readable at any width.

Across, everything is placed in percent, so a chart takes the width it is given and its text keeps its size; colours are
CSS classes of the page (tasks/evaluation/templates/report.html), so that dark mode and print follow. Markup.format
escapes what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from tasks.core.text.display import visible

LEAST = 0.35  # percent: a handful of rows in a million still leaves a mark
LANE = 12  # pixels a mark needs
CURVE = 200  # height of a loss curve in pixels
POINTS = 240  # segments of a drawn curve; more than a screen can tell apart would only make the file larger
SVG = Markup('<svg class="{}" width="100%" height="{}" role="img" aria-label="{}">{}</svg>')


def bar(parts: Sequence[tuple[str, float]], total: float, label: str) -> Markup:
    """A horizontal bar of (CSS class, rows or minutes), as long as the parts' share of `total`."""
    rects, x = [], 0.0
    for name, rows in parts:
        if not rows:
            continue
        width = max(LEAST, 100 * rows / total)
        start = min(x, 100 - width)
        rects.append(Markup('<rect class="{}" x="{:.2f}%" width="{:.2f}%" height="14"/>').format(name, start, width))
        x += width
    return _svg("bar", 14, label, rects)


def intervals(
    marks: Sequence[tuple[str, float, float, float]],
    label: str,
    ends: tuple[float, float],
    required: float | None = None,
    *,
    grid: bool = True,
) -> Markup:
    """Dots with their intervals, one below the other: (CSS class, value, low, high).

    ends: of the scale. required: drawn as a dashed line, what a rule asks for. grid: lines at its quarters; a scale
    that no header labels has none.
    """
    height, (start, end) = LANE * len(marks) + 6, ends

    def across(number: float) -> float:
        return 100 * (number - start) / (end - start)

    # Into the padding of the table cell, so that the lines of one row meet those of the next.
    drawn = [_line("grid", x, -7, x, height + 7) for x in (0, 25, 50, 75, 100) if grid]
    if required is not None:
        drawn.append(_line("required", across(required), -4, across(required), height + 4))
    for lane, (name, value, low, high) in enumerate(marks):
        y = LANE * (lane + 0.5) + 3
        drawn += [_line(f"whisker {name}", across(low), y, across(high), y), _dot(name, across(value), y, 4.5)]
    return _svg("strip", height, label, drawn)


def scale() -> Markup:
    """The labels of the scale that shares are drawn on."""
    ends = ((0, "0", "start"), (50, "50", "middle"), (100, "100 %", "end"))
    return _svg("strip", 14, "scale from 0 to 100 %", [_text(x, 11, text, anchor) for x, text, anchor in ends])


def loss_curve(history: Sequence[dict[str, Any]], best_step: int | None) -> Markup:
    """Training and validation loss over steps, from zero; empty when nothing was logged.

    history: {step, loss?, eval_loss?}, as tasks/training/train.py records it.
    """
    train, validation = _series(history, "loss"), _series(history, "eval_loss")
    if not train and not validation:
        return Markup("")
    last = max(1, *(step for step, _ in [*train, *validation]))
    tick, top = _ticks(max(loss for _, loss in [*train, *validation]))

    def place(step: float, loss: float) -> tuple[float, float]:
        return 100 * step / last, 12 + CURVE * (1 - loss / top)

    levels = [k * tick for k in range(round(top / tick) + 1)]
    drawn = [_line("grid", *place(0, level), *place(last, level)) for level in levels]
    drawn += [_text(0, place(0, level)[1] - 3, f"{level:g}") for level in levels]
    for name, series in (("train", train), ("validation", validation)):
        drawn += [_line(f"curve {name}", *place(*a), *place(*b)) for a, b in pairwise(series)]
    drawn += [_dot("validation", *place(*point), 3) for point in validation if point[0] != best_step]
    drawn += [_dot("best", *place(*point), 5) for point in validation if point[0] == best_step]
    marks = ((0, "step 0", "start"), (last // 2, f"{last // 2}", "middle"), (last, f"step {last}", "end"))
    drawn += [_text(place(step, 0)[0], CURVE + 30, text, anchor) for step, text, anchor in marks]
    return _svg("loss", CURVE + 34, f"training and validation loss over {last} steps", drawn)


def _series(history: Sequence[dict[str, Any]], key: str) -> list[tuple[int, float]]:
    """(step, loss) of what was logged, thinned to what can be told apart; a loss that is no number is left out."""
    points = [(int(h["step"]), float(h[key])) for h in history if h.get(key) is not None and math.isfinite(h[key])]
    stride = max(1, math.ceil(len(points) / POINTS))
    return [*points[:-1:stride], *points[-1:]]


def _ticks(highest: float) -> tuple[float, float]:
    """(step, end) of a scale of round numbers from 0 that holds `highest` in two to five steps."""
    highest = max(highest, 1e-6)  # also for a loss of nothing at all
    power = 10.0 ** math.floor(math.log10(highest))
    tick = next((m * power for m in (0.2, 0.5, 1.0) if highest / (m * power) <= 5), 2 * power)
    return tick, tick * math.ceil(highest / tick)


def _svg(name: str, height: float, label: str, drawn: Sequence[Markup]) -> Markup:
    return SVG.format(name, f"{height:g}", visible(label), Markup("").join(drawn))


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>').format(name, x1, y1, x2, y2)


def _dot(name: str, x: float, y: float, radius: float) -> Markup:
    return Markup('<circle class="dot {}" cx="{:.2f}%" cy="{:.1f}" r="{}"/>').format(name, x, y, radius)


def _text(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{:.2f}%" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, visible(text))
