"""What stands beside a question and its answer is put where it belongs, or the row is held with the column's name."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.row_kind import CLASSIFICATION, SFT, RowKind
from tasks.data.formats.adapter import Reading, adapter
from tasks.data.formats.messages import UnadaptedError

QUESTION = {"prompt": "Which tower is taller?", "completion": "The north one."}
TURNS = [{"role": "user", "content": "Which tower is taller?"}, {"role": "assistant", "content": "The north one."}]


def row(record: dict[str, Any], kind: RowKind = SFT, **stated: Any) -> dict[str, Any]:
    return adapter(Reading(**stated), kind)(record)[0]


def texts(record: dict[str, Any], **stated: Any) -> list[str]:
    return [said["content"] for said in row(record, **stated)["messages"]]


@pytest.mark.parametrize(
    ("beside", "asked"),
    [
        ({"context": "The north tower has 40 floors."}, "The north tower has 40 floors."),
        ({"passages": ["North: 40.", "South: 30."]}, "North: 40.\nSouth: 30."),
        ({"documents": [{"title": "Towers", "text": "North: 40."}]}, "Towers\nNorth: 40."),
        ({"choices": ["north", "south"]}, "north\nsouth"),
        ({"options": {"A": "north", "B": "south"}}, "A. north\nB. south"),
        ({"choices": {"label": ["1", "2"], "text": ["north", "south"]}}, "1. north\n2. south"),
        ({"choices": '["north", "south"]'}, "north\nsouth"),
    ],
)
def test_what_the_question_needs_is_put_below_it(beside: dict[str, Any], asked: str) -> None:
    assert texts({**QUESTION, **beside}) == [f"Which tower is taller?\n\n{asked}", "The north one."]
    assert texts({"messages": TURNS, **beside})[0] == f"Which tower is taller?\n\n{asked}"


def test_choices_have_letters_where_the_answer_is_one() -> None:
    assert texts({"question": "Taller?", "choices": ["north", "south"], "answer": "A"})[0].endswith(
        "A. north\nB. south"
    )
    assert texts({"question": "Taller?", "choices": ["(A) north", "(B) south"], "answer": "A"})[0].endswith(
        "(A) north\n(B) south"
    )
    with pytest.raises(UnadaptedError, match="a column that the question needs"):
        texts({"question": "Taller?", "choices": ["north", "south"], "answer": "1"})


def test_choices_that_stand_in_the_question_by_chance_are_put_below_it_and_listed_ones_are_not_said_twice() -> None:
    record = {"question": "What is 4 and 5?", "choices": ["4", "5", "9"], "answer": "9"}
    assert texts(record)[0] == "What is 4 and 5?\n\n4\n5\n9"
    listed = {**record, "question": "What is 4 and 5?\nA. 4\nB. 5\nC. 9"}
    assert texts(listed)[0] == listed["question"]
    with pytest.raises(UnadaptedError, match="a column that the question needs"):
        texts({**record, "choices": {"label": ["A", "B"], "text": ["4"]}})


def test_a_passage_that_only_the_answer_repeats_is_still_put_into_the_question() -> None:
    assert texts({**QUESTION, "context": "The north one."})[0] == "Which tower is taller?\n\nThe north one."


@pytest.mark.parametrize("history", [[["How many?", "Two."]], [{"role": "user", "content": "How many?"}]])
def test_earlier_turns_stand_before_the_question(history: Any) -> None:
    assert texts({**QUESTION, "system_prompt": "Be brief.", "history": history})[:2] == ["Be brief.", "How many?"]


@pytest.mark.parametrize(
    ("beside", "reason"),
    [
        ({"context": {"title": ["Towers"], "sentences": [["North: 40."]]}}, "a column that the question needs"),
        ({"sql_schema": "CREATE TABLE towers (floors INT)"}, "a column that the question may need"),
        ({"history": "asked about towers before"}, "a history that is no list of earlier turns"),
        ({"images": ["towers.png"]}, "a picture, film or sound beside the text"),
        ({"audio": {"path": "a.wav", "array": [0.1]}}, "a picture, film or sound beside the text"),
        ({"rationale": "40 is more than 30."}, "an answer's reasoning beside it"),
        ({"is_valid": False}, "marked as not to be learnt"),
        ({"was_cancelled": "true"}, "marked as not to be learnt"),
        ({"status": "discarded"}, "marked as not to be learnt"),
        ({"trainable": 0}, "marked as not to be learnt"),
    ],
)
def test_what_cannot_be_put_into_the_row_holds_it_and_is_named(beside: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnadaptedError, match=reason) as held:
        texts({**QUESTION, **beside})
    assert held.value.evidence["column"] in beside
    assert texts({**QUESTION, **beside}, metadata=tuple(beside)) == list(QUESTION.values())


@pytest.mark.parametrize(
    "beside",
    [
        {"context": "", "images": [], "reasoning": None, "choices": [], "history": "[]"},
        {"context": "Which tower is taller?", "rationale": "The north one."},
        {"id": 7, "created_at": "2026-01-02", "category": "towers", "score": 0.0, "status": "rejected"},
        {"is_valid": True, "skip": False, "loss": 0.25, "training": "a course on towers"},
    ],
)
def test_metadata_empty_columns_and_what_the_messages_say_already_are_harmless(beside: dict[str, Any]) -> None:
    assert texts({**QUESTION, **beside}) == list(QUESTION.values())


def test_a_conversation_of_several_questions_does_not_take_a_passage_into_one_of_them() -> None:
    with pytest.raises(UnadaptedError, match="a column that the question needs"):
        texts({"messages": [*TURNS, *TURNS], "context": "The north tower has 40 floors."})


def test_several_stated_columns_make_the_question() -> None:
    stated = {"question": ("Table", "ask"), "answer": "sql"}
    assert texts({"table": "towers", "ask": "How many?", "sql": "SELECT 2"}, **stated) == [
        "towers\n\nHow many?",
        "SELECT 2",
    ]
    assert texts({"table": " ", "ask": "How many?", "sql": "SELECT 2"}, **stated) == ["How many?", "SELECT 2"]


@pytest.mark.parametrize("refused", ["reject", "ignore"])
def test_an_annotation_that_was_refused_is_not_learnt(refused: str) -> None:
    record = {"text": "Where is it?", "label": "shipping", "_task_hash": 1}
    assert row({**record, "answer": "accept"}, CLASSIFICATION)["messages"][1]["content"] == "shipping"
    with pytest.raises(UnadaptedError, match="marked as not to be learnt"):
        row({**record, "answer": refused}, CLASSIFICATION)


@pytest.mark.parametrize(
    "text", ["<image>\nWhich tower is this?", "<audio>Which tower is meant?", "Which tower is this?<image>", "<video>"]
)
def test_the_place_of_a_picture_that_is_not_there_holds_the_row(text: str) -> None:
    with pytest.raises(UnadaptedError, match="a picture, film or sound"):
        texts({"prompt": text, "completion": "The north one."})


@pytest.mark.parametrize(
    "text", ["What does <image> do in SVG?", "<video>\n<source src='a'>\n</video>\nWhy is it black?"]
)
def test_markup_that_is_talked_about_is_no_place_of_a_picture(text: str) -> None:
    assert texts({"prompt": text, "completion": "It shows one."})[0] == text


@pytest.mark.parametrize("name", ["weight", "loss", "trainable", "training", "train", "loss_weight", "train_on_turn"])
@pytest.mark.parametrize(("no", "yes"), [(False, True), (0, 1), ("0", "1"), ("false", "true"), (0.0, None)])
def test_an_answer_that_its_source_marks_does_not_teach(name: str, no: Any, yes: Any) -> None:
    turns = [dict(TURNS[0]), {**TURNS[1], name: no}, dict(TURNS[0]), {**TURNS[1], name: yes}]
    assert row({"messages": turns})["weights"] == [0.0, 0.0, 0.0, 1.0]
    turns[1][name] = yes
    assert row({"messages": turns})["weights"] is None


def test_half_a_lesson_is_none_that_is_known() -> None:
    with pytest.raises(UnadaptedError, match="neither 0 nor 1"):
        row({"messages": [TURNS[0], {**TURNS[1], "loss_scale": 0.5}]})


def test_reasoning_and_pictures_of_a_single_message_hold_its_row() -> None:
    for name, value in (("reasoning_content", "40 > 30"), ("images", ["a.png"]), ("thinking", "hm")):
        with pytest.raises(UnadaptedError):
            row({"messages": [TURNS[0], {**TURNS[1], name: value}]})
        assert row({"messages": [TURNS[0], {**TURNS[1], name: None}]})["messages"] == TURNS


@pytest.mark.parametrize("part", [{"type": "image", "image": "a.png", "text": ""}, {"type": "thinking", "text": "hm"}])
def test_a_part_that_is_no_text_holds_its_row_though_it_has_a_text(part: dict[str, str]) -> None:
    parts = [{"type": "text", "value": "The north"}, {"type": "output_text", "text": "one."}]
    assert row({"messages": [TURNS[0], {"role": "assistant", "content": parts}]})["messages"][1]["content"] == (
        "The north\none."
    )
    with pytest.raises(UnadaptedError):
        row({"messages": [TURNS[0], {"role": "assistant", "content": [*parts, part]}]})
