"""infra/leftovers.py: a service started again ends what its killed forerunner left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra import leftovers
from infra.leftovers import SERVICE, STACK, end_leftovers


def sleeper(folder: Path, service: str, code: str = "pass") -> subprocess.Popen[bytes]:
    """A process with the marks of a stack, whose `code` has run when this returns."""
    words = [sys.executable, "-c", f"import time, signal; {code}; print(flush=True); time.sleep(60)"]
    process = subprocess.Popen(words, env={**os.environ, STACK: str(folder), SERVICE: service}, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def test_ends_what_carries_all_the_marks_and_nothing_else(tmp_path: Path) -> None:
    server, other, elsewhere = (
        sleeper(tmp_path, "mlflow"),
        sleeper(tmp_path, "worker"),
        sleeper(tmp_path / "b", "mlflow"),
    )
    try:
        assert end_leftovers({STACK: str(tmp_path), SERVICE: "mlflow"}) == 1
        assert not psutil.pid_exists(server.pid)
        assert (other.poll(), elsewhere.poll()) == (None, None)
        assert end_leftovers({STACK: str(tmp_path)}) == 1
        assert elsewhere.poll() is None
    finally:
        for process in (server, other, elsewhere):
            process.kill()
            process.wait()


def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PATIENCE", 1)
    deaf = sleeper(tmp_path, "worker", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    assert leftovers.end_leftovers({STACK: str(tmp_path)}) == 1
    assert not psutil.pid_exists(deaf.pid)
