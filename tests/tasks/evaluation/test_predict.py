"""Predict: every row of both sets gets its own answer, in the one prompt format, few-shot examples from training rows
only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.handle import Handle
from tasks.core.work import StepResult
from tasks.evaluation.predict import PredictSettings, _examples, predict
from tasks.facts.predictions import PREDICTIONS
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings
from tasks.model.generation import load_generator
from tests.support.tiny_model import CONTEXT, tiny_adapter
from tests.support.training import INTENTS, base_handle, dataset_handle, place, rows, rows_handle

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPT = PromptSettings(system="Triage.", max_new_tokens=6)
ANSWER = AnswerSettings(json_schema={"type": "object"}, label="intent")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def given(work: Path) -> dict[str, Any]:
    """Ten holdout rows, and three edge cases, two of which are holdout rows too."""
    rows_of = rows(10).drop("split")
    base = base_handle(work / "base")
    return {
        "base": base,
        "dataset": dataset_handle(work / "dataset", rows(20, 4)),
        "holdout": rows_handle(work / "holdout", rows_of),
        "prompt": PROMPT,
        "answer": ANSWER,
        "edge_cases": rows_handle(work / "edge", rows_of.tail(2).vstack(rows(11).drop("split").tail(1))),
    }


def run(
    folder: Path, given: dict[str, Any], variant: Any = "zero_shot", **more: Any
) -> tuple[StepResult, pl.DataFrame]:
    settings = PredictSettings(variant=variant, examples=more.pop("examples", 0))
    where = place(folder)
    made = predict(where, settings=settings, **{**given, **more})
    return made, pl.read_parquet(where.out / PREDICTIONS)


def test_every_row_of_both_sets_has_one_answer_and_it_is_its_own(given: dict[str, Any], tmp_path: Path) -> None:
    made, frame = run(tmp_path / "work", given)
    assert frame.columns == ["row_id", "set", "answer", "calls", "prompt_tokens", "answer_tokens", "stopped"]
    assert made.rows == frame.height == 13
    assert frame.equals(frame.sort("set", "row_id"))
    assert frame.select("row_id", "set").is_unique().all()
    speaker = load_generator(given["base"].folder / "model", None, PROMPT)
    asked = {row["row_id"]: row["messages"] for row in rows(11).iter_rows(named=True)}
    for row in frame.iter_rows(named=True):
        answer = speaker.answer([asked[row["row_id"]][:1]])[0]
        assert row["answer"] == answer.text
        assert (row["prompt_tokens"], row["answer_tokens"], row["stopped"]) == (
            answer.prompt_tokens,
            answer.answer_tokens,
            answer.stopped,
        )
    assert frame["answer"].n_unique() > 2


def test_answers_that_were_cut_are_counted_and_told(given: dict[str, Any], tmp_path: Path) -> None:
    made, frame = run(tmp_path / "work", given)
    cut = frame.filter(~pl.col("stopped"))
    assert made.facts == {"variant": "zero_shot", "cut": cut.height, "system": "Triage."}
    assert cut.height
    assert f"{cut.height} cut at 6 tokens" in made.line
    assert cut["answer_tokens"].unique().to_list() == [6]


def test_the_order_of_rows_and_the_clock_change_nothing(given: dict[str, Any], tmp_path: Path) -> None:
    made, frame = run(tmp_path / "one", given)
    turned = rows_handle(tmp_path / "turned", given["holdout"].frame().sort("row_id", descending=True))
    again, other = run(tmp_path / "two", given, holdout=turned)
    assert other.equals(frame)
    assert made.facts == again.facts
    assert "seconds" in made.told


def test_there_may_be_no_edge_cases(given: dict[str, Any], tmp_path: Path) -> None:
    _, frame = run(tmp_path / "work", given, edge_cases=None)
    assert frame["set"].unique().to_list() == ["holdout"]
    assert frame.height == 10


def test_the_tuned_variant_answers_with_its_adapter(given: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    tiny_adapter(given["base"].folder / "model", folder / "adapter")
    adapter = Handle(step="train", kind="adapter", path=str(folder), digest="a")
    made, tuned = run(tmp_path / "tuned", given, "tuned", adapter=adapter)
    _, plain = run(tmp_path / "plain", given)
    assert made.facts["variant"] == "tuned"
    assert tuned["answer"].to_list() != plain["answer"].to_list()
    assert tuned["prompt_tokens"].to_list() == plain["prompt_tokens"].to_list()


def test_examples_make_longer_prompts_and_other_answers(given: dict[str, Any], tmp_path: Path) -> None:
    _, few = run(tmp_path / "few", given, "few_shot", examples=2)
    _, zero = run(tmp_path / "zero", given)
    longer = set((few["prompt_tokens"] - zero["prompt_tokens"]).to_list())
    assert len(longer) == 1  # the same two examples before every question
    assert longer.pop() > 0
    assert few["answer"].to_list() != zero["answer"].to_list()


def test_no_more_examples_are_given_than_leave_every_question_room(given: dict[str, Any], tmp_path: Path) -> None:
    many = {**given, "dataset": dataset_handle(tmp_path / "many", rows(60, 4))}
    made, frame = run(tmp_path / "few", many, "few_shot", examples=40)
    used = made.told["examples"]
    assert 0 < used < 40
    assert f"{used} of 40 examples, as the model has no room for more" in made.line
    longest = max(frame["prompt_tokens"].to_list()) + PROMPT.max_new_tokens
    assert CONTEXT - 60 < longest <= CONTEXT


def _labels(frame: pl.DataFrame, count: int) -> list[str]:
    turns = [turn for said in _examples(frame, ANSWER, count) for turn in said]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    return [json.loads(turn["content"])["intent"] for turn in turns[1::2]]


def test_examples_are_training_rows_one_for_each_label_in_turn_the_shortest_first() -> None:
    frame = rows(20, 20)
    assert _labels(frame, 3) == sorted(INTENTS)[:3]
    assert _labels(frame, 6) == [*sorted(INTENTS), *sorted(INTENTS)[:2]]
    assert len(_labels(frame, 64)) == 20  # as far as they go, and never a validation row
    asked = [said[0]["content"] for said in _examples(frame, ANSWER, 6)]
    assert asked[0] == "Lamp 2 is broken"  # "Lamp 10 is broken" is longer
    assert asked[4] == "Lamp 6 is broken"
    assert _examples(frame, ANSWER, 0) == []
    assert _examples(frame.reverse(), ANSWER, 6) == _examples(frame, ANSWER, 6)
