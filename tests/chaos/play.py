"""Play cases: start a run, hit it at each of their steps, heal as a team would, judge.

A team has the stack's supervisor (it starts what ends), the automations of infra/automations.yaml (they start a crashed
retrain again, once), `make stack` (it starts again what runs and does not answer) and the button Retry. Retry is
pressed for a run that stays Failed or Crashed, and for one that nobody works on any more though the server takes it for
running: the automation finds that after ten minutes, a person who looks finds it now.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.chaos.cases import Case
from tests.chaos.judge import Outcome, differences, forget_from, outcome_of
from tests.chaos.stage import RETRIED, Scene, Stage

GIVE_UP_SECONDS, PATIENCE_SECONDS, MOST_RETRIES = 600, 10, 3
LOOK_AFTER_SECONDS, UNWELL_SECONDS = 10, 90  # a service that has not answered for so long is looked after by a person
LOOK_SECONDS = 0.003  # the shortest step takes some hundredths of a second
DISK_MEGABYTES = 200


@dataclass
class Played:
    """What became of a case. recovered: what healed it, in order. seconds: from the hit to the next one, or to the
    run's end.

    wrong: what is not as it should be, in words; told: what the run said when it stopped; figures: what was measured.
    """

    name: str
    seconds: float = 0.0
    recovered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M"))

    @property
    def record(self) -> dict[str, object]:
        return asdict(self)


class Hitter(threading.Thread):
    """Hits a run at the step of each case in turn.

    at: when each was hit, by its name; faults: what went wrong in it. busy: a hit lasts; since: when the last began or
    ended. made: when somebody said `make stack`.
    """

    def __init__(self, stage: Stage, scene: Scene, run: str, cases: Sequence[Case]) -> None:
        super().__init__(daemon=True)
        self.stage, self.scene, self.run_id, self.coming = stage, scene, run, list(cases)
        self.at: dict[str, float] = {}
        self.faults: dict[str, str] = {}
        self.made: list[float] = []
        self.busy, self.since, self.over = False, time.time(), False

    def run(self) -> None:
        while self.coming and not self.over:
            under_way = next((case for case in self.coming if self.stage.is_under_way(self.scene, case.step)), None)
            if under_way is None:
                time.sleep(LOOK_SECONDS)
                continue
            self.busy, self.since = True, time.time()
            self.at[under_way.name] = self.since
            try:
                hit_it(self.stage, under_way, self.scene, self.run_id)
            except Exception as error:
                self.faults[under_way.name] = f"{type(error).__name__}: {error}"[:300]
            self.coming = self.coming[self.coming.index(under_way) + 1 :]
            self.busy, self.since = False, time.time()


def undisturbed(stage: Stage, scene: Scene) -> tuple[Outcome, float]:
    """A run that nothing happens to: what all others are compared with, and its seconds."""
    run, begun = stage.submit(scene), time.monotonic()
    _heal(stage, run, Hitter(stage, scene, run, []))
    return outcome_of(scene), time.monotonic() - begun


def play(cases: Sequence[Case], stage: Stage, name: str, whole: Path, wanted: Outcome) -> list[Played]:
    """Play cases in one run. whole: the undisturbed run's home; all before the first case's step is taken over from it,
    as from a cache. A run that is wrong in the end is wrong for each hit in it.
    """
    scene = stage.scene(name, whole)
    forget_from(scene.home, cases[0].step)
    with _own_disk(scene.home) if cases[0].hit == "disk" else contextlib.nullcontext():
        run = stage.submit(scene)
        hitter = Hitter(stage, scene, run, cases)
        hitter.start()
        wrong = _heal(stage, run, hitter)
        hitter.over, end = True, time.time()
        hitter.join(GIVE_UP_SECONDS)
        if not until(
            stage.well, UNWELL_SECONDS
        ):  # what was hit in the last step may be starting, and the judge asks MLflow
            hitter.made.append(end)
            stage.make("up")
        running = left_running(stage)  # first, since a process that still works may yet put its things away
        wrong = wrong or [*differences(outcome_of(scene), wanted), *running]
    return [_played(stage, run, case, hitter, end, wrong) for case in cases]


def _played(stage: Stage, run: str, case: Case, hitter: Hitter, end: float, wrong: list[str]) -> Played:
    """What became of one case of a run, by the states that the server kept of it between this hit and the next."""
    if case.name not in hitter.at:
        return Played(case.name, wrong=wrong or [f"step {case.step} was never seen under way"])
    begun = hitter.at[case.name]
    until_then = min((at for at in hitter.at.values() if at > begun), default=end)
    played = Played(
        case.name, round(until_then - begun, 1), wrong=[*wrong, *filter(None, [hitter.faults.get(case.name)])]
    )
    before, healed = "", [(at, "`make stack`") for at in hitter.made if begun <= at <= until_then]
    for at, name, message in stage.history(run):
        if begun <= at < until_then and name == "AwaitingRetry":
            by_hand = f"Retry of a run that stayed {before}" if before in ("Running", "Pending") else "Retry"
            healed.append((at, by_hand if message == RETRIED["message"] else "automation"))
        if begun <= at < until_then and name in ("Failed", "Crashed", "Blocked"):
            played.told.append(f"{name}: {message.replace(str(stage.home), 'ASSAY_HOME')}"[:300])
        before = name
    played.recovered = [how for _, how in sorted(healed)]
    return played


def hit_it(stage: Stage, case: Case, scene: Scene, run: str) -> None:
    """Do to the processes, or to the disk, what the case says. Raises RuntimeError where there is nothing to hit."""
    kind, _, seconds = case.how.partition(" ")
    if kind == "STOP":
        stage.pause(("prefect-server", "mlflow") if case.hit == "network" else (case.hit,), float(seconds))
        return
    if kind == "FULL":
        _fill(scene.home)
        until(lambda: ended(stage.state(run)), GIVE_UP_SECONDS)
        (scene.home / "filler").unlink()
        return
    found = stage.processes(case.hit)
    if not found:
        raise RuntimeError(f"there is no process to hit: {case.hit}")
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.Signals[f"SIG{kind}"])


def _heal(stage: Stage, run: str, hitter: Hitter) -> list[str]:
    """Follow the run to its end, and do what a person would; what is wrong when it does not come to it."""
    quiet, seen, retries = time.time(), "", Counter[int]()
    looked = well = time.time()
    while hitter.busy or time.time() < hitter.since + GIVE_UP_SECONDS:
        time.sleep(0.5)
        state, now, hits = stage.state(run), time.time(), len(hitter.at)
        if now > looked + LOOK_AFTER_SECONDS:
            looked, well = now, now if hitter.busy or stage.well() else well
        if now > well + UNWELL_SECONDS:
            hitter.made.append(now)
            stage.make("up")
            well = time.time()
        name = state.get("name", "no answer")
        if state.get("type") == "COMPLETED":
            return []
        stuck = name in ("Running", "Pending", "AwaitingConcurrencySlot") and not stage.workings()
        if name != seen or hitter.busy or not (ended(state) or stuck):
            quiet, seen = now, name
        if now - quiet > PATIENCE_SECONDS and stage.well():
            if retries[hits] == MOST_RETRIES:
                break
            stage.retry(run)
            retries[hits], quiet = retries[hits] + 1, time.time()
    return [f"the run did not come to its end; it is {stage.state(run).get('name')}"]


def ended(state: dict[str, object]) -> bool:
    return state.get("type") in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def left_running(stage: Stage) -> list[str]:
    """Processes that should have ended with their run, a little after it."""
    until(lambda: not stage.workings() and not stage.orphans(), 60)
    return [f"still running: {' '.join(one.cmdline())[:120]}" for one in (*stage.workings(), *stage.orphans())]


@contextmanager
def _own_disk(home: Path) -> Iterator[None]:
    """A small disk of its own for the home, with what is in it. Raises CalledProcessError for who may not mount one."""
    with tempfile.TemporaryDirectory() as aside:
        shutil.copytree(home, aside, dirs_exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "assay-chaos", home], check=True)
        shutil.copytree(aside, home, dirs_exist_ok=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)


def _fill(home: Path) -> None:
    with contextlib.suppress(OSError), (home / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(1 << 16))
            filler.flush()


def until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True
