"""The demo as a newcomer runs it: `assay run support_triage` in an empty home, then once more with nothing changed.

What is looked at: wall time, and how much of it was neither training nor answering; the peak memory of all processes
together; and whether the second run was quick and left training and registry alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.table import Figure, Section

SAMPLE_SECONDS = 0.5
GB = 1000**3
OVERHEAD_SHARE, SECOND_SECONDS, PEAK_BYTES = 0.15, 20.0, 4 * GB  # the aims
VARIANTS = ("zero_shot", "few_shot", "tuned")  # the steps that answer; each tells its seconds
# Tasks/core/process/terminal.py prints one when a step is finished.
STEP_LINE = re.compile(r"^\s+(done|cached)\s+(\w+)")


@dataclass(frozen=True)
class Step:
    """A line of the run. seconds: since the line before it, or since the start."""

    name: str
    cached: bool
    seconds: float


@dataclass(frozen=True)
class Run:
    """One run of the command. peak: bytes of all its processes together, at the worst half-second."""

    seconds: float
    peak: int
    steps: Sequence[Step]


class Memory:
    """Samples a process and all its descendants. `with Memory(pid) as memory: ...`, then memory.peak, memory.seen."""

    def __init__(self, process_id: int) -> None:
        self.root = psutil.Process(process_id)
        self.peak = 0
        self.seen: set[psutil.Process] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [self.root, *self.root.children(recursive=True)]
                self.seen.update(family)
                self.peak = max(self.peak, sum(map(_size, family)))


def _size(process: psutil.Process) -> int:
    """Proportional set size: a page that several processes share (torch's libraries) counts once. Outside Linux the
    RSS.
    """
    try:
        info = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it ended meanwhile, or is no longer ours to read
        return 0
    return int(getattr(info, "pss", info.rss))


def measure() -> Section:
    """Run the demo twice in a home that is deleted afterwards; about a quarter of an hour on two cores."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        home = Path(folder)
        first = run(home)
        versions = _versions(home)
        training, answering = _training_seconds(home), _answering_seconds(home)
        second = run(home)
        again = sorted({step.name for step in second.steps if not step.cached})
        return _section(first, second, training, answering, again, _versions(home) - versions)


def run(home: Path) -> Run:
    """`assay run support_triage` with its servers, from start to exit; waits until the servers have ended too."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    command = [sys.executable, "-m", "assay", "run", "support_triage"]
    started = time.monotonic()
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**own, "ASSAY_HOME": str(home), "PYTHONUNBUFFERED": "1"},
    )
    with child, Memory(child.pid) as memory:
        lines = [(time.monotonic(), line) for line in child.stdout or ()]
        code = child.wait()
        seconds = time.monotonic() - started
    psutil.wait_procs(memory.seen, timeout=60)
    if code:
        said = "".join(line for _, line in lines)
        raise RuntimeError(f"{' '.join(command[2:])} ended with exit code {code}:\n{said[-3000:]}")
    return Run(seconds, memory.peak, _steps(lines, started))


def _steps(lines: Sequence[tuple[float, str]], started: float) -> list[Step]:
    steps, last = [], started
    for at, line in lines:
        if match := STEP_LINE.match(line):
            steps.append(Step(match[2], match[1] == "cached", at - last))
            last = at
    return steps


def _training_seconds(home: Path) -> float:
    return sum(float(json.loads(file.read_text())["actual"]["seconds"]) for file in _told(home, "train"))


def _answering_seconds(home: Path) -> float:
    return sum(float(json.loads(file.read_text())["seconds"]) for step in VARIANTS for file in _told(home, step))


def _told(home: Path, step: str) -> list[Path]:
    """What a step's artifact says of the clock. Raises when it is not there: a benchmark must not take that for no
    time.
    """
    files = list((home / "artifacts" / step).glob("*/told.json"))
    if not files:
        raise RuntimeError(f"the run left nothing of step {step}")
    return files


def _versions(home: Path) -> int:
    """Model versions in MLflow's registry."""
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        return int(database.execute("SELECT COUNT(*) FROM model_versions").fetchone()[0])


def _section(first: Run, second: Run, training: float, answering: float, again: list[str], registered: int) -> Section:
    share = (first.seconds - training - answering) / first.seconds
    told = f"{', '.join(again) or 'nothing'} computed again, {registered} versions registered"
    slowest = sorted(first.steps, key=lambda step: -step.seconds)
    return Section(
        "The demo",
        "`assay run support_triage` in an empty home, then once more with nothing changed.",
        [
            Figure("first run", f"{first.seconds:,.0f} s"),
            Figure("in it, training", f"{training:,.0f} s"),
            Figure("in it, answering with three variants", f"{answering:,.0f} s"),
            Figure("all else, of the whole", f"{share:.1%}", f"at most {OVERHEAD_SHARE:.0%}", share <= OVERHEAD_SHARE),
            Figure(
                "second run",
                f"{second.seconds:.1f} s",
                f"under {SECOND_SECONDS:.0f} s",
                second.seconds < SECOND_SECONDS,
            ),
            Figure("what the second run did", told, "nothing", not again and not registered),
            Figure(
                "peak memory", f"{first.peak / GB:.2f} GB", f"under {PEAK_BYTES / GB:.0f} GB", first.peak < PEAK_BYTES
            ),
            Figure("peak memory of the second run", f"{second.peak / GB:.2f} GB"),
        ],
        [
            "All else holds the start of the servers and of each process, loading and saving models, curation, "
            "contract, "
            "statistics, registration and report.",
            "Memory is that of all processes together, a page they share counted once (proportional set size), looked "
            "at every "
            f"{SAMPLE_SECONDS:g} s.",
            "Seconds from the end of one step to the end of the next, the longest first: "
            + ", ".join(f"{step.name} {step.seconds:.1f}" for step in slowest)
            + ".",
        ],
    )
