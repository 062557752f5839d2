"""What a work step is given and what it gives back: `function(place: StepDirs, settings=..., **inputs) -> StepResult`.

A step imports these two from here and nothing of the wrapper that runs it (tasks/core/step.py), so that its cache key
covers the code that its result comes from, and a change to the wrapper computes nothing again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.core.process.progress import Progress


@dataclass(frozen=True)
class StepDirs:
    """Where a work step works. out: becomes the artifact. scratch: kept until the step is finished, so it survives a
    kill.
    """

    out: Path
    scratch: Path
    progress: Progress


@dataclass(frozen=True)
class StepResult:
    """What a work step says of its output.

    line: for the terminal. facts: JSON kept beside the output and part of its digest. table: for the Prefect UI.
    told: JSON that is kept too but names nothing, because it differs between runs that made the same: seconds, process
    ids.
    """

    kind: str
    line: str
    facts: dict[str, Any]
    table: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0
    told: dict[str, Any] = field(default_factory=dict)
