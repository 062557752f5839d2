"""Charts are plain SVG that stands in a page without script: in its bounds, true to its numbers, closed to markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.charts import POINTS, bar, intervals, loss_curve, scale

LOSSES = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)


def percents(svg: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'{name}="(-?[\d.]+)%"', svg)]


@given(st.lists(st.integers(0, 10**7), min_size=3, max_size=3))
def test_a_bar_stays_inside_its_width_and_shows_even_one_row_of_many(rows: list[int]):
    parts = list(zip(("kept", "dropped", "quarantined"), rows, strict=True))
    rects = [rect.attrib for rect in Xml.fromstring(bar(parts, sum(rows), "rows"))]
    assert [rect["class"] for rect in rects] == [name for name, n in parts if n]
    for rect in rects:
        assert float(rect["width"].rstrip("%")) > 0.3
        assert 0 <= float(rect["x"].rstrip("%")) <= 100.01 - float(rect["width"].rstrip("%"))


def test_an_interval_is_drawn_where_it_was_measured():
    svg = intervals([("base", 0.25, 0.2, 0.31), ("tuned", 0.9, 0.85, 0.94)], "intent", (0, 1), required=0.8)
    assert percents(svg, "cx") == [25, 90]
    assert 'class="whisker tuned" x1="85.00%"' in svg
    assert 'class="required" x1="80.00%"' in svg


def test_a_number_is_drawn_on_a_scale_of_its_own():
    svg = intervals([("tuned", 30.0, 20.0, 40.0)], "length", (0.0, 40.0), required=10.0)
    assert percents(svg, "cx") == [75]
    assert 'class="whisker tuned" x1="50.00%"' in svg
    assert 'class="required" x1="25.00%"' in svg


@given(LOSSES)
def test_a_loss_curve_stays_inside_its_frame_whatever_was_logged(losses: list[float]):
    history = [{"step": n, "loss": loss} for n, loss in enumerate(losses, 1)]
    history.append({"step": len(losses), "eval_loss": losses[-1]})
    root = Xml.fromstring(loss_curve(history, len(losses)))
    height = float(root.attrib["height"])
    for line in root.iter("line"):
        assert all(0 <= float(line.attrib[key]) <= height for key in ("y1", "y2"))
        assert all(0 <= float(line.attrib[key].rstrip("%")) <= 100 for key in ("x1", "x2"))


@pytest.mark.parametrize("history", [[], [{"step": 1, "loss": float("nan")}], [{"step": 1, "eval_loss": None}]])
def test_without_a_loss_there_is_no_curve(history: list[dict[str, float]]):
    assert loss_curve(history, None) == ""


def test_a_million_steps_make_a_small_drawing_that_ends_at_the_last():
    svg = loss_curve([{"step": n, "loss": 1.0} for n in range(1, 100_001)], None)
    assert svg.count("<line") < POINTS + 10
    assert 'x2="100.00%"' in svg
    assert len(svg) < 40_000


def test_a_label_cannot_break_out_of_its_attribute():
    svg = intervals([("base", 0.5, 0.4, 0.6)], '"><script>\u202e', (0, 1))
    assert Xml.fromstring(svg).attrib["aria-label"] == '"><script>⟨U+202E⟩'


def test_every_chart_is_well_formed_and_has_a_label():
    for svg in (
        scale(),
        bar([("kept", 1)], 1, "x"),
        intervals([], "y", (0, 1)),
        loss_curve([{"step": 1, "loss": 2.0}], None),
    ):
        assert Xml.fromstring(svg).attrib["aria-label"]
