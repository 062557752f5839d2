"""A gate that keeps out every model is refused before hours of training, and none that some model could pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.errors import RecipeError
from tasks.evaluation.check_gate import check_gate
from tasks.evaluation.evaluate import EvaluateSettings
from tasks.evaluation.gate import GateSettings
from tasks.metrics.answer_schema import AnswerSettings
from tests.support.run_artifacts import row, rows
from tests.support.training import dataset_handle, place, rows_handle

LETTERS = (
    "Thank you for your message about the {0}; our colleagues in the warehouse will look for it and write to you soon.",
    "We are sorry to hear that. Please send a picture of the damage, then a new {0} leaves our workshop on Friday.",
    "Nobody here has seen such a {0} before, but the catalogue of last autumn may show one, so let us ask around.",
    "It would be best to let the {0} dry for two days, oil the hinges afterwards, and keep children away meanwhile.",
    "Your account shows two payments instead of one, and the second has been returned to your bank this very morning.",
)
ASKED = ("Hello?", "What now?", "Any news?", "Help!", "And?")


def checked(folder: Path, rule: dict[str, Any], held: list[Any], train: list[Any], answer: Any = None) -> str:
    dataset = dataset_handle(folder / "data", rows(train).with_columns(split=pl.lit("train")))
    made = check_gate(
        place(folder / "work"),
        settings=GateSettings.model_validate({"rules": [rule]}),
        answer=answer or AnswerSettings(),
        evaluation=EvaluateSettings(),
        dataset=dataset,
        holdout=rows_handle(folder / "held", rows(held)),
    )
    return made.line


def prose(start: int) -> list[Any]:
    """Forty questions, each answered by a letter of its own."""
    return [row(f"{ASKED[n % 5]} {n}", letter(n + start)) for n in range(40)]


def letter(n: int) -> str:
    words = LETTERS[n % 5].format(f"thing{n}").split()
    at = n % len(words)
    return " ".join(f"{word}{'x' * (n % 7)}" for word in (*words[at:], *words[:at]))  # no two share many words


EXACT = {"metric": "exact", "at_least": 0.6}


def test_exact_match_on_prose_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"same letters, and of 40 expected answers on holdout 40 are prose"
    ) as caught:
        checked(tmp_path, EXACT, prose(0), [row("Hello", "Short.")])
    assert caught.value.where == "recipe: gate.rules.0"
    assert "answer.graded" in caught.value.todo


def test_so_is_being_better_at_it_than_a_baseline(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="prose"):
        checked(tmp_path, {"metric": "exact", "better_than_baseline": True}, prose(0), [row("Hello", "Short.")])


@pytest.mark.parametrize(
    ("held", "train"),
    [
        ([row(f"Which class? {n}", "refund please") for n in range(40)], []),  # short
        (prose(0), prose(0)),  # the very answers, so they may be templates
        ([row(f"Correct this: {letter(n)}", f"{letter(n)} Yes.") for n in range(40)], []),  # most of it is copied
        ([row(f"How many? {n}", f"SELECT count(*) FROM t WHERE a = {n} AND b > 2 AND c < 3 OR d = 'x y';") for n in range(40)], []),
    ],
)  # fmt: skip
def test_answers_that_can_be_given_to_the_letter_may_be_asked_for(tmp_path: Path, held: Any, train: Any) -> None:
    assert checked(tmp_path, EXACT, held, [*train, row("Hello", "Short.")]) == "1 rules could be passed"


def test_a_floor_that_so_few_rows_cannot_prove_is_refused_with_how_many_would(tmp_path: Path) -> None:
    held = [row(f"Which class? {n}", "refund") for n in range(30)]
    with pytest.raises(RecipeError, match="were all 30 rows of holdout right") as caught:
        checked(tmp_path, {**EXACT, "at_least": 0.95}, held, [row("Hello", "refund")])
    needed = int(caught.value.allowed.split()[0])
    assert 70 < needed < 85  # 73 of 73 has its low end at 95 %
    enough = [row(f"Which class? {n}", "refund") for n in range(needed)]
    assert checked(tmp_path / "more", {**EXACT, "at_least": 0.95}, enough, [row("Hello", "refund")])


def test_of_an_object_its_texts_are_looked_at(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"reply": {"type": "string"}, "intent": {"type": "string"}}}
    form = AnswerSettings(json_schema=schema, graded=("intent",), label="intent")
    held = [row(f"{ASKED[n % 5]} {n}", f'{{"intent": "a", "reply": "{letter(n)}"}}') for n in range(40)]
    train = [row("Hello", '{"intent": "a", "reply": "Short."}')]
    with pytest.raises(RecipeError, match="prose"):
        checked(tmp_path, EXACT, held, train, form)
    assert checked(tmp_path / "field", {"metric": "intent", "at_least": 0.6}, held, train, form)
