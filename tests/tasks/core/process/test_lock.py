"""A lock that says what is waited for, once, and is free when its holder is gone."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tasks.core.process.lock import only_one

HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_says_once_that_it_waits_and_goes_on_when_the_first_is_killed(tmp_path: Path) -> None:
    path, told, done = tmp_path / "work.lock", list[str](), threading.Event()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"

        def tell(waiting: str) -> None:
            told.append(waiting)
            threading.Timer(0.5, holder.kill).start()

        with only_one(path, "waiting for the first", tell):
            done.set()
    assert (told, done.is_set()) == (["waiting for the first"], True)


def test_nobody_is_told_of_a_lock_that_is_free(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with only_one(tmp_path / "work.lock", "waiting", told.append):
            pass
    assert told == []
