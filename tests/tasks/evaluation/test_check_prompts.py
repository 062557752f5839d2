"""Before anything is trained, every variant is asked its first questions as far as the template goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.row_kind import CLASSIFICATION
from tasks.core.work import StepResult
from tasks.evaluation.check_prompts import CheckPromptsSettings, check_prompts
from tasks.facts.prompts import PromptFacts
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings
from tests.support.template_families import GEMMA
from tests.support.training import INTENTS, base_handle, dataset_handle, place, rows, rows_handle

ROOM = 64
LABELLED = AnswerSettings(
    label="intent",
    graded=("intent",),
    json_schema={"type": "object", "properties": {"intent": {"enum": list(INTENTS)}}},
)


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


def system_of(folder: Path, given: dict[str, Handle], answer: AnswerSettings, **settings: Any) -> str:
    prompt = PromptSettings(system=settings.pop("system", "Triage."), max_new_tokens=ROOM, **settings.pop("form", {}))
    made = check_prompts(
        place(folder), settings=CheckPromptsSettings(**settings), prompt=prompt, answer=answer, **given
    )
    return PromptFacts.model_validate(made.facts).system


def test_the_labels_stand_in_the_prompt_of_the_baselines_unless_the_recipe_has_one(
    tmp_path: Path, given: dict[str, Handle]
) -> None:
    assert system_of(tmp_path / "a", given, LABELLED) == (
        "Triage.\nAnswer with one JSON object and nothing else, with the keys intent. "
        "intent is one of: order_status, refund, damaged_item, other."
    )
    assert system_of(tmp_path / "b", given, LABELLED, prompted_system="Guess.") == "Guess."
    told = "One of order_status, refund, damaged_item, other."
    assert system_of(tmp_path / "c", given, LABELLED, system=told) == told
    assert system_of(tmp_path / "d", given, AnswerSettings()) == "Triage."  # answers in prose


def test_labels_that_are_the_answer_are_those_of_the_training_rows(tmp_path: Path, given: dict[str, Handle]) -> None:
    frame = rows(8)
    plain = frame.with_columns(
        messages=pl.col("messages").list.eval(
            pl.struct(
                pl.element().struct.field("role"),
                content=pl.element().struct.field("content").str.replace(r'\{"intent": "(\w+)"\}', "${1}"),
            )
        )
    )
    texts = {**given, "dataset": dataset_handle(tmp_path / "plain", plain)}
    named = "Answer with one of these and nothing else: damaged_item, order_status, other, refund."
    given_kind: Any = {"kind": CLASSIFICATION}
    assert system_of(tmp_path / "a", {**texts, **given_kind}, AnswerSettings()) == f"Triage.\n{named}"
    assert system_of(tmp_path / "b", {**texts, **given_kind}, AnswerSettings(), system="") == named


def test_where_the_template_takes_no_system_prompt_the_labels_are_left_out_and_nothing_stops(
    tmp_path: Path, given: dict[str, Handle]
) -> None:
    gemma = {"chat_template": GEMMA.replace("{{ bos_token }}", "")}
    assert system_of(tmp_path, given, LABELLED, system="", form=gemma) == ""
