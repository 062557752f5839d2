"""`make chaos`: bring a stack up, hit it while retrain runs, and write down what became of each run.

python -m tests.chaos                       what was never played, or was wrong
python -m tests.chaos 'mlflow .* register'  what the pattern matches, again; several are played one after another
"""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from tests.chaos import book, load, races, security
from tests.chaos.cases import in_runs, matrix
from tests.chaos.judge import Outcome
from tests.chaos.play import Played, play, undisturbed, until
from tests.chaos.stage import Scene, Stage

Case = Callable[[Stage, Scene, Outcome], Played]
OTHERS: dict[str, Case] = {
    "two workers, one run": races.two_workers_one_run,
    "two runs of one model, one home": races.two_runs_one_home,
    "two runs of one model, two homes": races.two_runs_two_homes,
    "registrations of one unit at once": races.registers_at_once,
    "schedule fires while a run is on": races.schedule_while_a_run_is_on,
    "two watches at once": races.second_watch_is_dropped,
    "50 runs queued at once": load.fifty_runs,
    "10,000 past runs": load.ten_thousand_runs,
    "no credentials": security.refuses_without_credentials,
    "secrets told": security.tells_no_secret,
}


def main(*patterns: str) -> int:
    """Play what is wanted; 1 when a case was wrong."""
    cases = {case.name: case for case in matrix()}
    runs = in_runs(cases[name] for name in _wanted(cases, patterns))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the stack is ended then, too
    stage, wrong = Stage(), 0
    try:
        stage.open()
        scene = stage.scene("undisturbed")
        yardstick, seconds = undisturbed(stage, scene)
        shutil.copytree(scene.home, whole := stage.homes / "undisturbed")
        book.keep(Played("undisturbed", seconds))
        for number, together in enumerate(runs, 1):
            names = [case.name for case in together]
            wrong += _tell(stage, names, partial(play, together, stage, f"case-{number}", whole, yardstick))
        for number, name in enumerate(_wanted(OTHERS, patterns), 1):
            wrong += _tell(stage, [name], partial(_other, name, stage, f"other-{number}", yardstick))
    finally:
        stage.remove()
    return min(wrong, 1)


def _wanted(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that the patterns match, in their order; without any, what was never played or was wrong."""
    known, names = book.records(), list(names)
    if not patterns:
        return [name for name in names if name not in known or known[name]["wrong"]]
    return list(dict.fromkeys(name for pattern in patterns for name in names if re.search(pattern, name)))


def _other(name: str, stage: Stage, model: str, yardstick: Outcome) -> list[Played]:
    return [OTHERS[name](stage, stage.scene(model), yardstick)]


def _tell(stage: Stage, names: list[str], call: Callable[[], list[Played]]) -> int:
    """Play, keep and print; how many were wrong. What cannot be judged is wrong; it is over when the stack is whole
    again.
    """
    begun = time.monotonic()
    try:
        all_played = call()
    except Exception as error:
        all_played = [Played(name, wrong=[f"{type(error).__name__}: {str(error)[:300]}"]) for name in names]
    until(stage.well, 180)
    print(f"{len(names)} in {time.monotonic() - begun:.0f} s")
    for played in all_played:
        book.keep(played)
        what = f"{', '.join(played.recovered)}  {'; '.join(played.wrong) or 'right'}"
        print(f"  {played.name:<32} {played.seconds:>4.0f} s  {what}", flush=True)
    return sum(bool(played.wrong) for played in all_played)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
