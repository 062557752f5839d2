"""One holder at a time. The kernel frees the lock of a process that died, so nobody waits for the dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL_SECONDS = 0.2  # short beside any work that is waited for, and no load however many wait


@contextmanager
def only_one(path: Path, waiting: str, tell: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock file `path`; while another process holds it, `tell` what is waited for, once, and wait."""
    lock = FileLock(path)
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        tell(waiting)
        held = lock.acquire(poll_interval=POLL_SECONDS)
    with held:
        yield
