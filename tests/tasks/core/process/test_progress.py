"""Progress where the output is no terminal: a line a minute, as nobody sees a bar in a file."""

from __future__ import annotations

import time

import pytest

from tasks.core.process.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_TERMINAL", "1")
    with Progress("train") as progress:
        for step in range(1, 151):
            clock[0] += 1
            progress(step / 200, f"step {step} of 200")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["30%, step 60 of 200", "60%, step 120 of 200"]


def test_short_work_and_work_that_no_command_asked_for_say_nothing(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ASSAY_TERMINAL", raising=False)
    with Progress("train") as progress:
        clock[0] += 600
        progress(0.5, "half")
    monkeypatch.setenv("ASSAY_TERMINAL", "1")
    with Progress("train") as progress:
        clock[0] += 59
        progress(1.0, "done")
    assert capsys.readouterr().out == ""
