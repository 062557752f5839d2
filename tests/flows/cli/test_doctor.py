"""`assay doctor` names what would stop a run, and exits with 1 only then."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from flows.cli import doctor
from flows.cli.doctor import Finding


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")


def test_this_machine_can_run_the_example_and_is_told_device_and_dtype(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.print_findings(doctor.examine()) == 0
    told = capsys.readouterr().out
    assert "trains on" in told
    assert "A run can start." in told


def test_a_home_that_cannot_be_written_would_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "file" / "home"))
    assert doctor._disk().state == "stop"


def test_a_library_outside_its_range_would_stop_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.165.0" if name == "fastapi" else real(name))
    (finding,) = [f for f in doctor._libraries() if f.state == "stop"]
    assert "fastapi" in finding.found
    assert "0.165.0" in finding.found


def test_a_note_does_not_fail_but_a_stop_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.print_findings([Finding("memory", "2 GiB", "warn")]) == 0
    assert doctor.print_findings([Finding("home", "not [bold]writable", "stop")]) == 1
    assert "not [bold]writable" in capsys.readouterr().out
