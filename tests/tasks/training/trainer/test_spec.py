"""What flow and trainer say to each other arrives as it was said, and a word that the other side does not know is
refused.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.facts.training import Actual, Losses, TokenCounts
from tasks.training.methods.sft import SftSettings
from tasks.training.trainer.spec import TrainSpec, event_of, line_of
from tasks.training.weights.lora import LoraSettings

ROOT = Path(__file__).parents[4]
COUNTED = TokenCounts(rows=20, validation_rows=4, tokens=900, longest=60, answer_tokens=200)


def spec(**more: Any) -> TrainSpec:
    told = {
        "base": Path("base"),
        "data": Path("data"),
        "out": Path("out"),
        "parent": 7,
        "settings": SftSettings(weights=LoraSettings(rank=4)),
        "checkpoint_seconds": 5.0,
        "counted": COUNTED,
    }
    return TrainSpec(**{**told, **more})


def test_a_spec_is_read_as_it_was_written(tmp_path: Path) -> None:
    spec().write(tmp_path / "spec.json")
    assert TrainSpec.read(tmp_path / "spec.json") == spec()


def test_seconds_between_checkpoints_arrive_though_the_settings_leave_them_out(tmp_path: Path) -> None:
    spec(settings=SftSettings(checkpoint_seconds=5.0)).write(tmp_path / "spec.json")
    assert "checkpoint_seconds" not in json.loads((tmp_path / "spec.json").read_text())["settings"]
    assert TrainSpec.read(tmp_path / "spec.json").checkpoint_seconds == 5.0


@pytest.mark.parametrize("part", ["", "settings"])
def test_a_key_that_the_trainer_does_not_know_is_refused(tmp_path: Path, part: str) -> None:
    told = json.loads(spec().model_dump_json())
    (told[part] if part else told)["rnak"] = 4
    (tmp_path / "spec.json").write_text(json.dumps(told))
    with pytest.raises(ValidationError, match="rnak"):
        TrainSpec.read(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (Losses(step=3, loss=0.5), '{"event": "progress", "step": 3, "loss": 0.5}'),
        (Losses(step=3, eval_loss=0.25), '{"event": "progress", "step": 3, "eval_loss": 0.25}'),
    ],
)
def test_a_loss_is_said_without_the_one_that_is_not_known(said: Losses, line: str) -> None:
    assert line_of(said) == line
    assert event_of(line) == said


def test_the_end_without_validation_rows_says_that_there_is_no_best_step() -> None:
    said = Actual(
        seconds=2.0,
        steps=3,
        tokens_per_second=100.0,
        padding_share=0.0,
        best_step=None,
        best_eval_loss=None,
        stopped_early=False,
        resumed_from_step=0,
    )
    assert json.loads(line_of(said))["best_step"] is None
    assert event_of(line_of(said)) == said


def test_a_loss_that_is_no_number_arrives_as_one() -> None:
    heard = event_of(line_of(Losses(step=1, loss=math.nan)))
    assert isinstance(heard, Losses)
    assert heard.loss is not None
    assert math.isnan(heard.loss)


def test_a_line_of_a_library_is_no_event() -> None:
    assert event_of("Loading weights: 100%\n") is None


def test_the_flow_reads_the_spec_without_loading_torch() -> None:
    ask = "import sys, tasks.training.trainer.spec; print('torch' in sys.modules, 'transformers' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]
