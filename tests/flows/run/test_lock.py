"""A run's sign of life: held as long as its process lives, gone when it ends, left behind when it is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.run.lock import sign_of_life, was_killed
from tasks.core.home import home_folder
from tasks.core.process.child import child_environment

HOLD = "import sys; from filelock import FileLock; held = FileLock(sys.argv[1]); held.acquire(); print(1); input()"


@pytest.mark.usefixtures("home")
def test_a_run_that_lives_or_ended_was_not_killed() -> None:
    assert not was_killed("one")
    with sign_of_life("one"):
        assert not was_killed("one")
        assert not was_killed("two")
    with pytest.raises(ZeroDivisionError), sign_of_life("one"):
        raise ZeroDivisionError
    assert not was_killed("one")
    assert list(home_folder("locks").iterdir()) == []


def test_a_run_whose_process_was_killed_is_known_at_once(home: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home_folder("locks") / "run-one.lock")],
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    assert child.stdout.readline() == b"1\n"
    assert not was_killed("one")
    child.kill()
    child.communicate()
    assert was_killed("one")
    assert not was_killed("one")  # told once, and closed
