"""One run a model at a time on a home folder, whoever starts it: a deployment, another one, or the command line.

Prefect's limit of a deployment counts that deployment's runs only, and a server learns late that a run was killed. The
kernel knows at once: it frees the lock of a dead process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger

from tasks.core.home import home_folder
from tasks.core.process import terminal
from tasks.core.process.lock import only_one


@contextmanager
def one_run_per_model(model: str) -> Iterator[None]:
    """Hold the lock of `model`; wait, and say so, while another run has it."""
    waiting = f"another run trains {model}; waiting until it is done"
    with only_one(home_folder("locks") / f"{model}.lock", waiting, _tell):
        yield


def _tell(waiting: str) -> None:
    terminal.note(waiting)
    get_run_logger().warning(waiting)
