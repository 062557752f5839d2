"""What a person sees in the terminal: one line a step. Silent unless the `assay` command asked for it."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

computed: list[str] = []  # the steps this process ran, those from the cache left out; the closing summary reads it


def enabled() -> bool:
    return bool(os.environ.get("ASSAY_TERMINAL"))


def console() -> Any:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def step(name: str, line: str, *, cached: bool) -> None:
    """Print that a step is done."""
    if not cached:
        computed.append(name)
    if enabled():
        mark = "[dim]cached[/]" if cached else "[green]done[/]  "
        console().print(f"  {mark}  [bold]{name:<12}[/] {_plain(line)}")


def note(line: str) -> None:
    """Print a line that belongs to the step under way."""
    if enabled():
        console().print(f"          [dim]{_plain(line)}[/]")


def waiting(text: str) -> contextlib.AbstractContextManager[Any]:
    """A spinner with `text` while the body runs, where a person looks on."""
    on = enabled() and sys.stdout.isatty()
    return console().status(text) if on else contextlib.nullcontext()


def _plain(text: str) -> str:
    """Text that is shown as it is, brackets and all: a line may quote a row."""
    from rich.markup import escape

    return escape(text)
