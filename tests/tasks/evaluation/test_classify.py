"""What needs no language model answers in the form that is asked for, and the ordinary metrics judge it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.row_kind import CLASSIFICATION, SFT
from tasks.core.work import StepResult
from tasks.evaluation.classify import ClassifySettings, classify
from tasks.evaluation.evaluate import EvaluateSettings, evaluate
from tasks.facts.predictions import PREDICTIONS
from tasks.facts.scores import Scores
from tasks.metrics.answer_schema import AnswerSettings, broken_rule
from tests.support.run_artifacts import artifact, row, rows
from tests.support.training import dataset_handle, place, rows_handle

SCHEMA = {
    "type": "object",
    "required": ["intent", "reply"],
    "properties": {
        "intent": {"enum": ["refund", "parcel"]},
        "urgent": {"type": "boolean"},
        "reply": {"type": "string"},
    },
}
TRIAGE = AnswerSettings(label="intent", graded=("intent", "urgent"), json_schema=SCHEMA)
SAID = {"refund": "I want my money back for the {}", "parcel": "Where is the parcel with my {}"}
THINGS = ("lamp", "rug", "chair", "kettle", "mirror", "bench", "stool", "vase")


def triaged(label: str, thing: str) -> str:
    urgent = {"urgent": True} if thing == "lamp" else {}
    return json.dumps({"intent": label, "reply": f"We look for the {thing}.", **urgent})


def pairs(things: tuple[str, ...], told: Any = triaged) -> list[dict[str, Any]]:
    return [row(text.format(thing), told(label, thing)) for label, text in SAID.items() for thing in things]


def made(folder: Path, variant: str, training: Any, held: Any, answer: AnswerSettings, kind: Any = SFT) -> StepResult:
    dataset = dataset_handle(folder / f"{variant}-data", rows(training).with_columns(split=pl.lit("train")))
    asked = rows_handle(folder / f"{variant}-held", rows(held))
    where, settings = place(folder / variant), ClassifySettings(variant=variant)  # type: ignore[arg-type]
    return classify(where, settings=settings, answer=answer, kind=kind, dataset=dataset, holdout=asked)


def answers(folder: Path, variant: str) -> dict[str, str]:
    frame = pl.read_parquet(folder / variant / "out" / PREDICTIONS)
    assert frame.columns == ["row_id", "set", "answer", "calls"]
    return dict(frame.select("row_id", "answer").rows())


def test_a_classifier_writes_whole_answers_that_keep_the_schema_and_is_right_where_words_tell(tmp_path: Path) -> None:
    held = pairs(("clock", "shelf"))
    assert made(tmp_path, "logistic_regression", pairs(THINGS), held, TRIAGE).rows == 4
    given = answers(tmp_path, "logistic_regression")
    for one in held:
        value = json.loads(given[one["row_id"]])
        assert value["intent"] == json.loads(one["messages"][-1]["content"])["intent"]
        assert broken_rule(value, TRIAGE) == ""
        assert "urgent" not in value  # as in most answers


def test_the_commonest_label_is_given_to_all_by_the_shortest_answer_that_has_it(tmp_path: Path) -> None:
    more = [*pairs(THINGS), row("And my money?", triaged("refund", "vase")), row("Money!", triaged("refund", "urn"))]
    made(tmp_path, "majority_class", more, pairs(("clock",)), TRIAGE)
    assert set(answers(tmp_path, "majority_class").values()) == {triaged("refund", "rug")}


def test_labels_that_are_the_whole_answer_are_answered_as_they_are(tmp_path: Path) -> None:
    def plain(label: str, _: str) -> str:
        return label

    held = pairs(("clock",), plain)
    made(tmp_path, "logistic_regression", pairs(THINGS, plain), held, AnswerSettings(), CLASSIFICATION)
    given = answers(tmp_path, "logistic_regression")
    assert given == {one["row_id"]: one["messages"][-1]["content"] for one in held}


def test_conversations_in_prose_have_no_labels_and_so_no_such_baseline(tmp_path: Path) -> None:
    done = made(tmp_path, "logistic_regression", pairs(THINGS), pairs(("clock",)), AnswerSettings())
    assert (done.rows, done.line) == (0, "rows have no labels, so there is nothing to classify")


def test_the_order_of_rows_changes_no_answer(tmp_path: Path) -> None:
    for name, given in (("one", pairs(THINGS)), ("two", pairs(THINGS)[::-1])):
        made(tmp_path / name, "logistic_regression", given, pairs(("clock", "shelf")), TRIAGE)
    assert answers(tmp_path / "one", "logistic_regression") == answers(tmp_path / "two", "logistic_regression")


@pytest.mark.parametrize("training", [pairs(("lamp",))[:1], [row("", triaged("refund", "lamp")), *pairs(("rug",))]])
def test_too_little_to_learn_from_gives_the_commonest_value(tmp_path: Path, training: Any) -> None:
    made(tmp_path, "logistic_regression", training, pairs(("clock",)), TRIAGE)
    assert len(set(answers(tmp_path, "logistic_regression").values())) == 1


def test_evaluation_scores_them_as_it_scores_a_model_and_calls_neither_the_best_prompted_one(tmp_path: Path) -> None:
    held = pairs(("clock", "shelf"))
    holdout = rows_handle(tmp_path / "asked", rows(held))

    def given(variant: str, text: Any) -> Any:
        told = [{"row_id": one["row_id"], "set": "holdout", "answer": text(one), "calls": None} for one in held]

        def fill(where: Any) -> StepResult:
            frame = pl.DataFrame(told, schema=dict.fromkeys(("row_id", "set", "answer", "calls"), pl.String))
            frame.write_parquet(where.out / PREDICTIONS)
            return StepResult("predictions", "", {"variant": variant}, rows=len(told))

        return artifact(variant, fill)

    right = given("logistic_regression", lambda one: one["messages"][-1]["content"])
    predictions = [right, given("zero_shot", lambda _: "no"), given("tuned", lambda _: "{}")]
    done = evaluate(
        place(tmp_path / "e"), settings=EvaluateSettings(), answer=TRIAGE, holdout=holdout, predictions=predictions
    )
    scores = Scores.model_validate(done.facts)
    assert scores.best_baseline == "zero_shot"
    assert (scores.prompted, scores.classical, scores.label_metric) == (
        ["zero_shot"],
        ["logistic_regression"],
        "intent",
    )
    assert scores.cell("logistic_regression", "holdout", "intent").value == 1
