"""infra/status.py without a stack; tests/stack asks a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli.main import main


def test_doctor_says_that_no_stack_runs_and_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STACK_FOLDER", str(tmp_path))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("flows.servers.environment.prepare", lambda: None)
    assert main(["doctor", "--stack"]) == 1
    said = capsys.readouterr().err
    assert "No stack runs here." in said
    assert "make stack" in said
