"""Play a case: start a run, wait for the step, hit, heal as a team would, judge.

A team has the stack's supervisor (it starts what ends), the automations of infra/automations.yaml (they start a crashed retrain
again, once) and the button Retry. Retry is pressed for a run that stays Failed or Crashed, and for one that nobody works on
any more though the server takes it for running: the automation finds that after ten minutes, a person who looks finds it now.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.chaos.cases import Case
from tests.chaos.judge import Outcome, differences, forget_from, outcome_of
from tests.chaos.stage import Scene, Stage

GIVE_UP_SECONDS, PATIENCE_SECONDS, MOST_RETRIES = 600, 20, 3
DISK_MEGABYTES = 200


@dataclass
class Played:
    """What became of a case. recovered: what healed it, in order. seconds: from the hit to the end of the run.

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


def undisturbed(stage: Stage, scene: Scene) -> tuple[Outcome, float]:
    """A run that nothing happens to: what all others are compared with, and its seconds."""
    run, begun = stage.submit(scene), time.monotonic()
    _heal(stage, run, Played("undisturbed"), begun)
    return outcome_of(scene), time.monotonic() - begun


def play(case: Case, stage: Stage, name: str, whole: Path, wanted: Outcome) -> Played:
    """Play a case. whole: the undisturbed run's home, of which all before the case's step is taken over, as from a cache.

    Raises RuntimeError where the case cannot be played or the run does not come to its end.
    """
    played, scene = Played(case.name), stage.scene(name, whole)
    forget_from(scene.home, case.step)
    with _own_disk(scene.home) if case.hit == "disk" else contextlib.nullcontext():
        run = stage.submit(scene)
        stage.await_step(scene, case.step, lambda: ended(stage.state(run)))
        hit = time.monotonic()
        hit_it(stage, case, scene, run)
        try:
            _heal(stage, run, played, hit)
        except RuntimeError as error:
            return replace(played, wrong=[str(error)])
        played.seconds = round(time.monotonic() - hit, 1)
        played.wrong += differences(outcome_of(scene), wanted)
        played.wrong += left_running(stage)
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


def _heal(stage: Stage, run: str, played: Played, hit: float) -> None:
    """Follow the run to its end, and press Retry where a person would. Raises RuntimeError when it does not come to it."""
    quiet, seen, retries, asked = time.monotonic(), "", 0, ""
    while time.monotonic() < hit + GIVE_UP_SECONDS + 600:
        time.sleep(0.5)
        state = stage.state(run)
        name, now = state.get("name", "no answer"), time.monotonic()
        if state.get("type") == "COMPLETED":
            return
        if name != seen:
            quiet, seen = now, name
            if name == "AwaitingRetry" and asked != "by hand":
                played.recovered.append("automation")
            asked = ""
            if name in ("Failed", "Crashed", "Blocked"):
                played.told.append(f"{name}: {state.get('message') or ''}"[:300])
        dead = ended(state) or (name in ("Running", "Pending", "AwaitingConcurrencySlot") and not stage.workings())
        if not dead:
            quiet = now
        if now - quiet > PATIENCE_SECONDS and stage.well():
            if retries == MOST_RETRIES:
                break
            retries, quiet, asked = retries + 1, now, "by hand"
            played.recovered.append("Retry" if ended(state) else f"Retry of a run that stayed {name}")
            stage.retry(run)
    raise RuntimeError(f"the run did not come to its end; it is {stage.state(run).get('name')}")


def ended(state: dict[str, object]) -> bool:
    return state.get("type") in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def left_running(stage: Stage) -> list[str]:
    """Processes that should have ended with their run, a little after it."""
    until(lambda: not stage.workings() and not stage.orphans(), 15)
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
