"""One run a model at a time on a home folder, whoever starts it: a deployment, another one, or the command line.

Prefect's limit of a deployment counts that deployment's runs only, and a server learns late, or never, that a run was
killed. The kernel knows at once: it frees the locks of a dead process. So each run holds a lock of its own as well, by
which others ask whether it lives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from tasks.core.home import home_folder
from tasks.core.process import terminal
from tasks.core.process.lock import only_one


@contextmanager
def one_run_per_model(model: str) -> Iterator[None]:
    """Hold the lock of `model`; wait, and say so, while another run has it."""
    waiting = f"another run trains {model}; waiting until it is done"
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    with (
        sign_of_life(str(run.id)) if run else nullcontext(),
        only_one(home_folder("locks") / f"{model}.lock", waiting, _tell),
    ):
        yield


@contextmanager
def sign_of_life(run_id: str) -> Iterator[None]:
    """Hold the lock of a Prefect run, and take its file away at the end, which only a run that was killed leaves."""
    file = _sign(run_id)
    with FileLock(file):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def was_killed(run_id: str) -> bool:
    """Whether a Prefect run of this home has left its sign of life and does not hold it. Of a run of another home
    nothing is known.
    """
    file = _sign(run_id)
    if not file.exists():
        return False
    try:
        with FileLock(file, blocking=False):
            file.unlink(missing_ok=True)
            return True
    except Timeout:
        return False


def _sign(run_id: str) -> Path:
    return home_folder("locks") / f"run-{run_id}.lock"


def _tell(waiting: str) -> None:
    terminal.note(waiting)
    get_run_logger().warning(waiting)
