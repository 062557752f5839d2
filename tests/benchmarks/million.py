"""All of `assay curate` as rows grow to a million: rows a second, each step's share and memory, Great Expectations'
part.

    python -m tests.benchmarks.million [--sizes 10000 100000 1000000]

The command runs as a user runs it, in a home that is deleted afterwards, on made-up conversations (rows_to_curate.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.demo import STEP_LINE
from tests.benchmarks.rows_to_curate import write_recipe
from tests.benchmarks.table import Figure, Section

SIZES = (10_000, 100_000, 1_000_000)
SAMPLE_SECONDS = 0.2
GB, PEAK_BYTES = 1000**3, 8e9  # the aim: half of a machine with 16 GB
SHOWN = 0.02  # share of the time from which a step has a line of its own


@dataclass(frozen=True)
class Step:
    """A step that ended, since the one before it. processor: seconds that the flow's process computed, all its threads
    together; peak: the most bytes that it had resident."""

    name: str
    seconds: float
    processor: float
    peak: int


@dataclass(frozen=True)
class Run:
    """One run of the command. servers: most resident bytes of all its other processes together. gx: seconds of the
    check.
    """

    rows: int
    seconds: float
    servers: int
    steps: Sequence[Step]
    gx: dict[str, float]
    told: dict[str, Any]

    @property
    def peak(self) -> int:
        return max(step.peak for step in self.steps)


class Watch:
    """Samples of a process (own: time, processor seconds, bytes), and the most bytes of all its
    descendants (others).
    """

    def __init__(self, process_id: int) -> None:
        self.root = psutil.Process(process_id)
        self.own, self.others = list[tuple[float, float, int]](), 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            with contextlib.suppress(psutil.Error):
                spent = self.root.cpu_times()
                self.own.append((time.monotonic(), spent.user + spent.system, self.root.memory_info().rss))
                self.others = max(
                    self.others, sum(child.memory_info().rss for child in self.root.children(recursive=True))
                )

    def step(self, name: str, start: float, end: float) -> Step:
        before = max((spent for at, spent, _ in self.own if at <= start), default=0.0)
        mine = [(spent, size) for at, spent, size in self.own if start - SAMPLE_SECONDS <= at <= end] or [(before, 0)]
        return Step(name, end - start, max(0.0, mine[-1][0] - before), max(size for _, size in mine))


def measure(sizes: Sequence[int] = SIZES) -> Section:
    """Each size in a home and a process of its own; half an hour for a million rows, and 20 GB of disk."""
    runs = []
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
            runs.append(run(rows, Path(folder)))
    return _section(runs)


def run(rows: int, folder: Path) -> Run:
    """`assay curate` on `rows` rows, from start to exit."""
    recipe, home = write_recipe(rows, folder), folder / "home"
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "assay", "curate", str(recipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**own, "ASSAY_HOME": str(home), "PYTHONUNBUFFERED": "1"},
    )
    with child, Watch(child.pid) as watch:
        lines = [(time.monotonic(), line) for line in child.stdout or ()]
        code = child.wait()
        seconds = time.monotonic() - started
    if code:
        raise RuntimeError(f"assay curate ended with exit code {code}:\n{''.join(line for _, line in lines)[-3000:]}")
    steps, last = [], started
    for at, line in lines:
        if match := STEP_LINE.match(line):
            steps.append(watch.step(match[2], last, at))
            last = at
    return Run(rows, seconds, watch.others, steps, _told(home, "check")["seconds"], _told(home, "account"))


def _told(home: Path, step: str) -> dict[str, Any]:
    (folder,) = (home / "artifacts" / step).iterdir()
    return {**json.loads((folder / "told.json").read_text()), **json.loads((folder / "facts.json").read_text())}


def _section(runs: Sequence[Run]) -> Section:
    last = runs[-1]
    figures = [figure for run in runs for figure in _whole(run, run is last)]
    gx = last.gx["great_expectations"]
    slowest = sorted(last.steps, key=lambda step: -step.seconds)
    figures += [_of_step(step, last) for step in slowest if step.seconds >= SHOWN * last.seconds]
    figures += [Figure("Great Expectations, of the whole", f"{gx:,.1f} s, {gx / last.seconds:.1%}")]
    few = [f"{step.name} {step.seconds:,.1f} s" for step in slowest if step.seconds < SHOWN * last.seconds]
    waterfall = last.told["waterfall"]
    left = [f"{step['step']} {step['in'] - step['kept']:,}" for step in waterfall if step["in"] != step["kept"]]
    return Section(
        "Curation of a million rows",
        "`assay curate` on made-up sft conversations (rows_to_curate.py), contract `sft`, all else at its default, "
        "from start "
        "to exit in an empty home.",
        figures,
        [
            "Of a step: seconds from the end of the step before it, share of the whole, seconds that its threads "
            "computed, and "
            "the most memory that the flow's process held, with what earlier steps have not given back. Peak memory "
            "is the "
            "largest of these.",
            f"The Prefect server beside it held up to {_gb(last.servers)}.",
            f"Less than {SHOWN:.0%} of the time each: {', '.join(few)}.",
            f"Rows that went: {', '.join(left)}; {last.told['kept']:,} of {last.told['raw']:,} were kept.",
        ],
    )


def _of_step(step: Step, run: Run) -> Figure:
    share = (
        f"{step.seconds:,.1f} s, {step.seconds / run.seconds:.1%}, {step.processor:,.1f} s computed, {_gb(step.peak)}"
    )
    return Figure(f"at {run.rows:,} rows: {step.name}", share)


def _whole(run: Run, largest: bool) -> list[Figure]:
    aim = (f"under {PEAK_BYTES / GB:.0f} GB", run.peak < PEAK_BYTES) if largest else ("", None)
    return [
        Figure(
            f"{run.rows:,} rows", f"{run.seconds:,.0f} s, {run.rows / run.seconds:,.0f} rows a second; {_computed(run)}"
        ),
        Figure(f"{run.rows:,} rows: peak memory", _gb(run.peak), *aim),
    ]


def _computed(run: Run) -> str:
    return f"{sum(step.processor for step in run.steps):,.0f} s computed"


def _gb(size: float) -> str:
    return f"{size / GB:.2f} GB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    print(measure(parser.parse_args().sizes).markdown())
