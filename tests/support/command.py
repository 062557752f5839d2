"""The `assay` command in tests, as a person runs it: processes with a home folder and a Prefect server of their own.

work = Work(tmp_path)
ended = work.run("curate", recipe)                              # waits; exit code, output and errors
work.kill_when("run", recipe, lambda: work.made("train"))       # kill -9 of the whole process group, at that moment
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import psutil

PATIENCE = 200  # seconds, for a machine that is busy with other things


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Work:
    """A folder for a recipe, and the home folder of all its runs.

    assay: what stands for `assay`: the real command, or one in a fork (tests/support/forked_command.py).
    """

    folder: Path
    assay: Sequence[str] = (sys.executable, "-m", "assay")

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def run(self, command: str, recipe: Path | str, **environment: str) -> Ended:
        return self.ended(self.start(command, recipe, **environment))

    def start(self, command: str, recipe: Path | str, **environment: str) -> subprocess.Popen[str]:
        """Start it as the leader of a process group, as a shell does; what it says goes into files, one run at a time.

        By one thread: threads that wait for each other cost more than a tiny model computes.
        """
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        with (self.folder / "out.txt").open("w") as out, (self.folder / "err.txt").open("w") as err:
            return subprocess.Popen(
                [*self.assay, *command.split(), str(recipe)],
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
                env={**clean, "ASSAY_HOME": str(self.home), "OMP_NUM_THREADS": "1", **environment},
            )

    def ended(self, process: subprocess.Popen[str]) -> Ended:
        code = process.wait(PATIENCE)
        return Ended(code, (self.folder / "out.txt").read_text(), (self.folder / "err.txt").read_text())

    def kill_when(self, command: str, recipe: Path, true: Callable[[], Any]) -> None:
        """Kill the process group once `true`; returns when nothing works for this home any more."""
        process = self.start(command, recipe)
        until(lambda: true() or process.poll() is not None, "the moment to kill")
        assert process.poll() is None, (self.folder / "err.txt").read_text()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.wait_until_idle()

    def hold_server(self) -> TextIO:
        """The Prefect server that the next command starts runs on for those after it, until the file given back is
        closed.
        """
        services = self.home / "services"
        services.mkdir(parents=True, exist_ok=True)
        users = (services / "prefect.users").open("a")
        fcntl.flock(users, fcntl.LOCK_SH)  # as each command holds it while it uses the server
        return users

    def wait_until_idle(self) -> None:
        until(lambda: not self.processes(), "the end of every process of this home")

    def processes(self) -> list[psutil.Process]:
        return at_home(self.home)

    def end(self) -> None:
        """End what a failed test has left running."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def made(self, step: str) -> list[Path]:
        """The artifacts of a step."""
        return list((self.home / "artifacts" / step).glob("*"))


def at_home(home: Path) -> list[psutil.Process]:
    """Everything that works for this home, in whatever process group: servers, keepers, workers,
    flow runs, trainers.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("ASSAY_HOME") == str(home):
                found.append(process)
    return found


def until(true: Callable[[], Any], what: str) -> None:
    """Wait for it; fails after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
