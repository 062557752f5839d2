"""Small charts as inline SVG: no script, no font, no request, and readable at any width.

Across, everything is placed in percent, so a chart takes the width it is given and its text keeps its size; colours are CSS
classes of the page (tasks/templates/report.html), so that dark mode and print follow. Text passes through Markup.format, which
escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from tasks.core.readable import visible

LEAST = 0.35  # percent: a handful of rows in a million still leaves a mark
LANE = 14  # pixels a mark needs
CURVE = 200  # height of a loss curve in pixels
POINTS = 240  # segments of a drawn curve; more than a screen can tell apart would only make the file larger
SVG = Markup('<svg class="{}" width="100%" height="{}" role="img" aria-label="{}">{}</svg>')


def bar(parts: Sequence[tuple[str, int]], total: int, label: str) -> Markup:
    """A horizontal bar of (CSS class, rows), as long as the parts' share of `total`."""
    rects, x = [], 0.0
    for name, rows in parts:
        width = max(LEAST, 100 * rows / max(total, 1)) if rows else 0.0
        rects.append(
            Markup('<rect class="{}" x="{:.2f}%" width="{:.2f}%" height="14"/>').format(
                name, min(x, 100 - width), width
            )
        )
        x += width
    return SVG.format("bar", 14, visible(label), Markup("").join(rects))


def intervals(marks: Sequence[tuple[str, float, float, float]], label: str, required: float | None = None) -> Markup:
    """Dots with their intervals on a scale from 0 to 1, one below the other: (CSS class, value, low, high).

    required: drawn as a vertical tick, the level a rule asks for.
    """
    height = LANE * len(marks) + 6
    drawn = [_line("grid", x, 0, x, height) for x in (0, 25, 50, 75, 100)]
    for lane, (name, value, low, high) in enumerate(marks):
        y = LANE * lane + LANE / 2 + 3
        drawn.append(_line(f"whisker {name}", 100 * low, y, 100 * high, y))
        drawn.append(Markup('<circle class="dot {}" cx="{:.2f}%" cy="{}" r="4.5"/>').format(name, 100 * value, y))
    if required is not None:
        drawn.append(_line("required", 100 * required, 0, 100 * required, height))
    return SVG.format("strip", height, visible(label), Markup("").join(drawn))


def scale() -> Markup:
    """The labels of the scale that `intervals` draws on."""
    ends = ((0, "0", "start"), (50, "50", "middle"), (100, "100 %", "end"))
    texts = [
        Markup('<text x="{}%" y="11" text-anchor="{}">{}</text>').format(x, anchor, text) for x, text, anchor in ends
    ]
    return SVG.format("strip", 14, "scale from 0 to 100 %", Markup("").join(texts))


def loss_curve(history: Sequence[dict[str, Any]], best_step: int | None) -> Markup:
    """Training and validation loss over steps, from zero; empty when nothing was logged.

    history: {step, loss?, eval_loss?}, as tasks/train.py records it.
    """
    train, validation = _series(history, "loss"), _series(history, "eval_loss")
    if not train and not validation:
        return Markup("")
    last = max(step for step, _ in [*train, *validation])
    tick = _tick(max(loss for _, loss in [*train, *validation]))
    top = tick * math.ceil(max(loss for _, loss in [*train, *validation]) / tick)

    def place(step: float, loss: float) -> tuple[float, float]:
        return 100 * step / max(last, 1), 8 + CURVE * (1 - loss / top)

    drawn = []
    for k in range(round(top / tick) + 1):
        y = place(0, k * tick)[1]
        drawn += [_line("grid", 0, y, 100, y), Markup('<text x="0" y="{:.1f}">{:g}</text>').format(y - 3, k * tick)]
    for name, series in (("train", train), ("validation", validation)):
        drawn += [_line(f"curve {name}", *place(*a), *place(*b)) for a, b in zip(series, series[1:], strict=False)]
    for step, loss in validation:
        x, y = place(step, loss)
        mark = "dot best" if step == best_step else "dot validation"
        drawn.append(
            Markup('<circle class="{}" cx="{:.2f}%" cy="{:.1f}" r="{}"/>').format(
                mark, x, y, 5 if "best" in mark else 3
            )
        )
    y = CURVE + 24
    for x, text, anchor in ((0, "step 0", "start"), (50, f"{last / 2:g}", "middle"), (100, f"step {last}", "end")):
        drawn.append(Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text))
    label = (
        f"loss over {last} steps; validation from {validation[0][1]:.3f} to {validation[-1][1]:.3f}"
        if validation
        else "loss"
    )
    return SVG.format("loss", CURVE + 28, label, Markup("").join(drawn))


def _series(history: Sequence[dict[str, Any]], key: str) -> list[tuple[int, float]]:
    points = [(int(h["step"]), float(h[key])) for h in history if h.get(key) is not None and math.isfinite(h[key])]
    stride = max(1, math.ceil(len(points) / POINTS))
    return points[::stride] if (len(points) - 1) % stride == 0 else [*points[::stride], points[-1]]


def _tick(highest: float) -> float:
    """A round step that cuts 0 to `highest` into two to five."""
    power = 10 ** math.floor(math.log10(highest)) if highest > 0 else 1.0
    return next((m * power for m in (0.2, 0.5, 1.0) if highest / (m * power) <= 5), 2 * power)


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>').format(name, x1, y1, x2, y2)
