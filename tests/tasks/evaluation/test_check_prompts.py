"""Before anything is trained, every variant is asked its first questions as far as the template goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.work import StepResult
from tasks.evaluation.check_prompts import CheckPromptsSettings, check_prompts
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings
from tests.support.template_families import GEMMA
from tests.support.training import base_handle, dataset_handle, place, rows, rows_handle

ROOM = 64


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Handle]:
    work = tmp_path_factory.mktemp("work")
    frame = rows(8)
    return {
        "base": base_handle(work / "base"),
        "dataset": dataset_handle(work / "dataset", frame),
        "holdout": rows_handle(work / "holdout", frame.drop("split")),
    }


def checked(folder: Path, given: dict[str, Handle], prompt: PromptSettings, **settings: Any) -> StepResult:
    asked = CheckPromptsSettings(**settings)
    return check_prompts(place(folder), settings=asked, prompt=prompt, answer=AnswerSettings(), **given)


def test_what_can_be_asked_is_counted(tmp_path: Path, given: dict[str, Handle]) -> None:
    made = checked(tmp_path, given, PromptSettings(max_new_tokens=ROOM), few_shot=3)
    assert made.line == "8 questions can be asked, with up to 3 examples"


def test_a_system_prompt_that_only_a_baseline_has_is_tried_too(tmp_path: Path, given: dict[str, Handle]) -> None:
    gemma = PromptSettings(chat_template=GEMMA.replace("{{ bos_token }}", ""), max_new_tokens=ROOM)
    checked(tmp_path, given, gemma, few_shot=2)
    with pytest.raises(DataError, match=r"A prompted baseline cannot be asked: .*System role not supported") as caught:
        checked(tmp_path, given, gemma, prompted_system="Explain.")
    assert caught.value.where.startswith("recipe: evaluate; ")
    assert "evaluate.prompted_system" in caught.value.todo
