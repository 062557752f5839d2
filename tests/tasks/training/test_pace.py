"""The time that is left is that of the steps so far, and an estimate that was wrong is corrected once."""

from __future__ import annotations

from tasks.training.pace import Pace


def test_until_there_is_a_pace_the_estimate_stands() -> None:
    pace = Pace(steps=100, estimated=200, now=0)
    assert pace.left(0, now=0.5) == 200
    assert pace.left(50, now=0.9) == 100


def test_the_steps_of_an_earlier_attempt_are_no_pace() -> None:
    pace = Pace(steps=100, estimated=200, now=0)
    for step in range(1, 41):  # told at once when a run goes on
        pace.left(step, now=0.01 * step)
    assert pace.left(41, now=4) == 200 * (1 - 41 / 100)  # the first of this attempt: as estimated
    assert pace.left(43, now=12) == 57 * 4


def test_a_wrong_estimate_is_corrected_when_it_is_sure_and_not_at_every_step() -> None:
    pace = Pace(steps=100, estimated=100, now=0)
    told = [pace.correction(step, now=10.0 * step) for step in range(1, 101)]
    assert [(step, whole) for step, whole in enumerate(told, 1) if whole] == [(3, 1000)]


def test_an_estimate_that_holds_is_left_alone() -> None:
    pace = Pace(steps=100, estimated=100, now=0)
    assert not any(pace.correction(step, now=1.2 * step) for step in range(1, 101))
