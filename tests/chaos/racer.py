"""One of several machines that register the same units at the same moments, each with a home of its own.

    python -m tests.chaos.racer PLACE NAME...    as process; a name is registered when the file PLACE/go-NAME appears

PLACE holds the base model and inputs.json: the handles that `prepare` made, in each racer's home alike.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tasks.core.errors import OutsideError
from tasks.core.handle import Handle
from tasks.core.step import BACK_OFF_SECONDS, RETRIES
from tasks.core.work import StepResult
from tests.support.registration import Inputs, make_inputs

HANDLES = ("base", "adapter", "dataset", "contract", "scores", "verdict", "predictions", "holdout")
CHECKED = 2


def prepare(place: Path, racers: int) -> list[Path]:
    """Make the inputs once, and a home with them for each racer; returns the homes."""
    with patch.dict(os.environ, ASSAY_HOME=str(place / "home-0")):
        inputs = make_inputs(place)
    (place / "inputs.json").write_text(json.dumps({name: getattr(inputs, name).model_dump() for name in HANDLES}))
    homes = [place / f"home-{number}" for number in range(racers)]
    for home in homes[1:]:
        shutil.copytree(homes[0], home)
    return homes


def race(place: Path, name: str) -> StepResult:
    """Register `name` as soon as its file is there, again while MLflow asks for it, as the step wrapper does."""
    told = json.loads((place / "inputs.json").read_text())
    handles: dict[str, Any] = {key: Handle.model_validate(value) for key, value in told.items()}
    inputs = Inputs(**handles, name=name)
    while not (place / f"go-{name}").exists():
        time.sleep(0.001)
    for tried in range(RETRIES):
        with suppress(OutsideError):
            return inputs.register(CHECKED)
        time.sleep(BACK_OFF_SECONDS * 2**tried)
    return inputs.register(CHECKED)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for model in sys.argv[2:]:
        (Path(sys.argv[1]) / f"ready-{model}-{os.getpid()}").touch()
        made = race(Path(sys.argv[1]), model)
        print(json.dumps({"name": model, "version": made.facts["version"], "run": made.told["run_id"]}), flush=True)
