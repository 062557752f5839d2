"""Progress of long work: a bar in the terminal and a progress artifact in the Prefect UI, from the same calls; a line a
minute where the output is no terminal.
"""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Any, Self

from tasks.core.process import terminal

LOG_SECONDS = 60.0  # between two lines where the output is a file, or another program
UPDATE_SECONDS = 2.0  # the UI polls every few seconds; each update is a request


class Progress:
    """`with Progress("train") as progress: progress(0.4, "step 18 of 45, loss 0.31")`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._artifact: Any = None
        self._bar: Any = None
        self._task: Any = None
        self._last, self._told = 0.0, time.monotonic()

    def __enter__(self) -> Self:
        if terminal.enabled() and sys.stdout.isatty():
            from rich import progress as rich_progress

            self._bar = rich_progress.Progress(
                rich_progress.TextColumn("  {task.fields[name]:<10}"),
                rich_progress.BarColumn(24),
                rich_progress.TextColumn("{task.percentage:>3.0f} %  {task.description}"),
                rich_progress.TimeRemainingColumn(),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0, name=self.name)
        return self

    def __call__(self, fraction: float, text: str) -> None:
        """fraction: 0 to 1. text: a short line that says where the work stands."""
        if self._bar is not None:
            self._bar.update(self._task, completed=fraction, description=text)
        now = time.monotonic()
        if self._bar is None and now - self._told >= LOG_SECONDS:
            self._told = now
            terminal.note(f"{fraction:.0%}, {text}")
        if now - self._last >= UPDATE_SECONDS or fraction >= 1:
            self._last = now
            self._publish(fraction, text)

    def _publish(self, fraction: float, text: str) -> None:
        import httpx
        from prefect.artifacts import create_progress_artifact, update_progress_artifact
        from prefect.context import TaskRunContext

        if TaskRunContext.get() is None:  # called as a plain function, outside any run
            return
        percent = round(100 * fraction, 1)
        try:
            if self._artifact is None:
                self._artifact = create_progress_artifact(percent, key=self.name.replace("_", "-"), description=text)
            else:
                update_progress_artifact(self._artifact, percent, description=text)
        except httpx.HTTPError as error:  # hours of training must not end with a server that restarts
            logging.getLogger(__name__).warning("progress was not shown: %s", error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
