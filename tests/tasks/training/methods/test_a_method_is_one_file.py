"""A method, and a form of weights, is one file: written into a copy of the code, it is read, trained and told of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.core import code_digest
from tasks.core.step_cache import work_key
from tasks.training.methods import METHODS
from tasks.training.methods.sft import SftSettings
from tasks.training.train import train
from tasks.training.weights import WEIGHTS
from tests.support.training import base_handle, dataset_handle, rows

METHOD = """
from typing import Literal
from pydantic import Field
from tasks.model.chat_template import IGNORED
from tasks.training.methods.sft import SupervisedFineTuning
from tasks.training.settings import TrainSettings

class LastTokensSettings(TrainSettings):
    method: Literal["last_tokens"] = "last_tokens"
    tokens: int = Field(default=4, ge=1)

class LastTokens(SupervisedFineTuning):
    title = "the last tokens only"
    settings = LastTokensSettings
    learns_from = frozenset({"preference"})

    def trainer(self, settings, model, tokenizer, data):
        def last(row):
            labels = row["labels"]
            return {"labels": [IGNORED] * (len(labels) - settings.tokens) + labels[-settings.tokens:]}
        made = super().trainer(settings, model, tokenizer, data)
        made.train_dataset = data.rows.map(last)
        return made

MEMBER = LastTokens()
"""
WEIGHTS_FORM = """
from typing import Literal
from tasks.training.weights.base import WeightsSettings

class NormsSettings(WeightsSettings):
    form: Literal["norms"] = "norms"

class Norms:
    title = "the norms' own weights"
    settings = NormsSettings

    def learning_rate(self, hidden):
        return 0.125

    def load(self, base, settings, machine, longest):
        from transformers import AutoModelForCausalLM
        model = AutoModelForCausalLM.from_pretrained(base)
        for name, weights in model.named_parameters():
            weights.requires_grad = "norm" in name
        return model

    def save(self, model, out):
        model.save_pretrained(out)

MEMBER = Norms()
"""
TRAINS = """
import json, sys
from pathlib import Path
from typing import Annotated
from pydantic import TypeAdapter
from tasks.core.handle import Handle
from tasks.model.chat_template import PromptSettings
from tasks.training import train as step
from tasks.training.methods import METHODS
from tasks.training.settings import TrainSettings
from tests.support.training import place

if __name__ == "__main__":
    settings = TypeAdapter(Annotated[TrainSettings, METHODS]).validate_json(sys.argv[2], strict=True)
    given = TypeAdapter(dict[str, Handle]).validate_json(sys.argv[3])
    # The launcher, which test_train.py has, would be one more process to load torch.
    step._command = lambda spec, _: [sys.executable, "-m", step.trainer.__name__, str(spec)]
    made = step.train(place(Path(sys.argv[1])), settings=settings, prompt=PromptSettings(), **given)
    told = step.TrainingTold.model_validate(made.told)
    print("\\n" + json.dumps({"facts": made.facts, "plan": made.told["plan"], "line": step._plan_line(told.plan)}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The real code with two files more."""
    folder = tmp_path / "code"
    for package in ("tasks", "data_contracts", "tests/support"):
        shutil.copytree(code_digest.ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for seam, member, text in (("methods", "last_tokens", METHOD), ("weights", "norms", WEIGHTS_FORM)):
        (folder / f"tasks/training/{seam}/{member}.py").write_text(text)
    return folder


def trained(copy: Path, work: Path, settings: dict[str, Any]) -> dict[str, Any]:
    given = {"base": base_handle(work / "base"), "dataset": dataset_handle(work / "dataset", rows(8, 4))}
    asked = {"epochs": 2, "batch_rows": 4, "threads": 1, **settings}
    handles = {name: handle.model_dump() for name, handle in given.items()}
    ended = subprocess.run(
        [sys.executable, "-c", TRAINS, str(work / "step"), json.dumps(asked), json.dumps(handles)],
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    said: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return said


def test_a_method_and_a_form_of_one_file_each_train_in_the_child_process_and_are_told_by_name(
    copy: Path, tmp_path: Path
) -> None:
    said = trained(copy, tmp_path, {"method": "last_tokens", "tokens": 2, "weights": {"form": "norms"}})
    settings, plan = said["facts"]["settings"], said["plan"]
    assert (settings["method"], settings["tokens"], settings["weights"]) == ("last_tokens", 2, {"form": "norms"})
    assert said["line"].startswith("the last tokens only, the norms' own weights: 8 rows")
    assert plan["learning_rate"] == 0.125
    assert 0 < plan["trainable_parameters"] < plan["total_parameters"] / 10
    assert sum("loss" in event for event in said["facts"]["history"]) == plan["steps"] == 4
    assert (tmp_path / "step/out/adapter/model.safetensors").exists()


def test_another_member_leaves_the_key_of_a_training_as_it_is_and_its_own_file_changes_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key() -> str:
        code_digest.code_digest.cache_clear()
        return work_key("train", train, SftSettings(), {})

    before = key()
    try:
        monkeypatch.setattr(code_digest, "ROOT", copy)
        assert key() == before
        for file in ("methods/sft.py", "weights/lora.py", "answer_trainer.py", "trainer/loop.py"):
            path = copy / "tasks/training" / file
            text = path.read_text()
            path.write_text(f"{text}\nCHANGED = True\n")
            assert key() != before, file
            path.write_text(text)
    finally:
        code_digest.code_digest.cache_clear()
    assert key() == before


@pytest.mark.parametrize("members", [METHODS, WEIGHTS], ids=["methods", "weights"])
def test_every_file_of_a_seam_is_a_member_whose_settings_have_its_name(members: Any) -> None:
    assert members.default in members.names()
    for name in members.names():
        settings = members.get(name).settings()
        assert getattr(settings, members.key) == name
        assert members.get(name).title
        assert type(settings).__module__ == f"{members.package}.{name}"
