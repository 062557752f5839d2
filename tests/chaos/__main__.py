"""`make chaos`: bring a stack up, hit it while retrain runs, and write down what became of each run.

    python -m tests.chaos                       what was never played, or was wrong; the most telling first
    python -m tests.chaos 'mlflow .* register'  what the pattern matches, again
"""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.chaos import book, load, races, security
from tests.chaos.cases import matrix
from tests.chaos.judge import Outcome
from tests.chaos.play import Played, play, undisturbed, until
from tests.chaos.stage import Scene, Stage

SOON = 13  # cases of the matrix that come before the others: every process killed outright at train and at register
Case = Callable[[Stage, Scene, Outcome], Played]
OTHERS: dict[str, Case] = {
    "two workers, one run": races.two_workers_one_run,
    "two runs of one model, one home": races.two_runs_one_home,
    "two runs of one model, two homes": races.two_runs_two_homes,
    "schedule fires while a run is on": races.schedule_while_a_run_is_on,
    "two watches at once": races.second_watch_is_dropped,
    "50 runs queued at once": load.fifty_runs,
    "10,000 past runs": load.ten_thousand_runs,
    "no credentials": security.refuses_without_credentials,
    "secrets told": security.tells_no_secret,
}


def main(pattern: str = "") -> int:
    """Play what is wanted; 1 when a case was wrong."""
    known, cases = book.records(), {case.name: case for case in matrix()}
    names = list(cases)
    wanted = [
        name for name in (*names[:SOON], *OTHERS, *names[SOON:])
        if (re.search(pattern, name) if pattern else name not in known or known[name]["wrong"])
    ]  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the stack is ended then, too
    stage, wrong = Stage(), 0
    try:
        stage.open()
        scene = stage.scene("undisturbed")
        yardstick, seconds = undisturbed(stage, scene)
        shutil.copytree(scene.home, whole := stage.homes / "undisturbed")
        book.keep(Played("undisturbed", seconds))
        for number, name in enumerate(wanted, 1):
            begun, model = time.monotonic(), f"case-{number}"
            if name in cases:
                call = partial(play, cases[name], stage, model, whole, yardstick)
            else:
                call = partial(OTHERS[name], stage, stage.scene(model), yardstick)
            played = _judged(name, call, stage)
            book.keep(played)
            wrong += bool(played.wrong)
            what = f"{', '.join(played.recovered)}  {'; '.join(played.wrong) or 'right'}"
            print(f"{number:>3} of {len(wanted)}  {name:<32} {time.monotonic() - begun:>4.0f} s  {what}", flush=True)
    finally:
        stage.remove()
    return min(wrong, 1)


def _judged(name: str, call: Callable[[], Played], stage: Stage) -> Played:
    """What the case tells; one that cannot be judged is wrong, and the next is played when the stack is whole again."""
    try:
        return call()
    except Exception as error:
        return Played(name, wrong=[f"{type(error).__name__}: {str(error)[:300]}"])
    finally:
        until(stage.well, 180)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
