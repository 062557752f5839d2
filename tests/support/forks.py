"""What of the product runs in forks of a preloaded process (tests/support/preloaded.py): versions and trainers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.servers import environment
from tasks.core.process.hardware import computing_environment
from tasks.registry import loaded_version, loaded_version_main
from tasks.training import train, trainer
from tasks.training.settings import TrainSettings
from tests.support.preloaded import Preloaded

launched = train._command


def preloaded_in(folder: Path) -> Preloaded:
    """The process of this folder, which is started when it is first asked for a fork."""
    settings = {**environment._quiet(), **computing_environment(), "HF_HUB_OFFLINE": "1"}
    return Preloaded(folder, loaded_version_main.__file__, settings)


def fork_versions_and_trainers(forks: Preloaded, patch: Callable[[Any, str, Any], None]) -> None:
    """Load versions and train models in forks from now on, in this process. patch: setattr, or one that is undone."""
    patch(loaded_version, "start", forks.start)
    patch(train, "_command", lambda spec, settings: forked_trainer(forks, spec, settings))


def forked_trainer(forks: Preloaded, spec: Path, settings: TrainSettings) -> list[str]:
    """The command of one process that trains, without its launcher, which would only set this variable."""
    if settings.processes > 1:
        return launched(spec, settings)
    return ["env", f"OMP_NUM_THREADS={settings.threads}", *forks.command(trainer.__name__, str(spec))]
