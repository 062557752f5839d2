"""One run a model at a time on a home folder, whoever starts it: a deployment, another one, or the command line.

Prefect's limit of a deployment counts that deployment's runs only, and a server learns late that a run was killed. The kernel
knows at once: it frees the lock of a dead process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout
from prefect.logging import get_run_logger

from tasks.core import terminal
from tasks.core.home import home_folder


@contextmanager
def alone(model: str) -> Iterator[None]:
    """Hold the lock of `model`; wait, and say so, while another run has it."""
    lock = FileLock(home_folder("locks") / f"{model}.lock")
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        told = f"another run trains {model}; waiting until it is done"
        terminal.note(told)
        get_run_logger().warning(told)
        held = lock.acquire(poll_interval=1)
    with held:
        yield
