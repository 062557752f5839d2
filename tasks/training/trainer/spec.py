"""What flow and training process say to each other: the spec as a file, the events as lines of the child's output.

Both sides read and write these models and nothing else. No torch here: the flow imports this.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from tasks.facts.training import Actual, Losses, Plan, TokenCounts
from tasks.training.methods import METHODS
from tasks.training.settings import TrainSettings

Event = Plan | Losses | Actual
EVENTS: dict[str, type[Event]] = {"plan": Plan, "progress": Losses, "actual": Actual}
NAMES: dict[type[Event], str] = {kind: name for name, kind in EVENTS.items()}
BEGINS = '{"event"'  # how a line that is an event begins; any other is noise of a library


class TrainSpec(BaseModel):
    """All that the training process is told.

    base: folder of the base model. data: the step's scratch folder, with the datasets train and validation, and
    checkpoints. out: the adapter's folder, not there yet. parent: process id of the flow. checkpoint_seconds: the
    settings' own, which leave it out wherever they are written, as it is no part of the cache key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Path
    data: Path
    out: Path
    parent: int
    settings: Annotated[TrainSettings, METHODS]
    checkpoint_seconds: float
    counted: TokenCounts

    def write(self, file: Path) -> None:
        """Write the spec, for `read` in another process."""
        file.write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> TrainSpec:
        """The spec that `write` left. Raises pydantic's ValidationError."""
        return cls.model_validate_json(file.read_bytes())


def line_of(event: Event) -> str:
    """An event as one line of JSON."""
    return json.dumps({"event": NAMES[type(event)], **event.written()})


def event_of(line: str) -> Event | None:
    """The event of a line; None for a line that is none. Raises pydantic's ValidationError, KeyError."""
    if not line.startswith(BEGINS):
        return None
    said = json.loads(line)
    return EVENTS[said["event"]].model_validate(said)
