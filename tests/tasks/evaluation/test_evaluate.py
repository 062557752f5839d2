"""Evaluate: every answer is marked once, none is averaged away, and the order of rows does not matter."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, digest_path
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.work import StepDirs, StepResult
from tasks.evaluation.evaluate import EvaluateSettings, evaluate, slice_names
from tasks.metrics.answer_schema import AnswerSettings

ANSWER = AnswerSettings(
    label="intent",
    graded=("intent",),
    json_schema={
        "type": "object",
        "required": ["intent"],
        "properties": {"intent": {"enum": ["refund", "order"]}, "reply": {"type": "string"}},
    },
)
RIGHT, WRONG, PROSE = '{"intent": "refund"}', '{"intent": "order"}', "You want a refund."


def row(row_id: str, *, slice: str | None = None, expected: str = RIGHT) -> dict[str, Any]:
    before = [("system", "Triage."), ("user", "earlier"), ("assistant", "ok")]
    said = [*before, ("user", f"q {row_id}"), ("assistant", expected)]
    return {
        "row_id": row_id,
        "source": "holdout.jsonl",
        "line": 1,
        "messages": [{"role": role, "content": content} for role, content in said],
        "meta": json.dumps({"slice": slice} if slice else {}),
    }


def kept(home: Path, step: str, frame: pl.DataFrame, file: str, facts: dict[str, Any]) -> Handle:
    folder = home / "artifacts" / step / uuid4().hex
    folder.mkdir(parents=True)
    frame.write_parquet(folder / file)
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / TOLD).write_text("{}")
    return Handle.of(folder, step=step, kind=step, digest=digest_path(folder), rows=frame.height)


def rows_handle(home: Path, rows: list[dict[str, Any]]) -> Handle:
    return kept(home, "rows", pl.DataFrame(rows, schema=ROW_SCHEMA), "rows.parquet", {})


def predicted(home: Path, variant: str, answers: list[tuple[str, str, str]]) -> Handle:
    frame = pl.DataFrame(answers, schema=["row_id", "set", "answer"], orient="row").with_columns(
        calls=pl.lit(None, pl.String)
    )
    return kept(home, "predictions", frame, "predictions.parquet", {"variant": variant})


def place(home: Path) -> StepDirs:
    out = home / uuid4().hex
    out.mkdir()
    return StepDirs(out, home, Progress("evaluate"))


HOLDOUT = [row(f"h{i}", slice="short" if i < 4 else "long") for i in range(10)]
EDGES = [row(f"e{i}", slice="hostile") for i in range(4)]
IDS = [(r["row_id"], "holdout") for r in HOLDOUT] + [(r["row_id"], "edge_cases") for r in EDGES]


def answers(*wrong: str, prose: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    return [(i, s, PROSE if i in prose else WRONG if i in wrong else RIGHT) for i, s in IDS]


def run(
    home: Path, *variants: tuple[str, list[tuple[str, str, str]]], **changes: Any
) -> tuple[StepResult, pl.DataFrame]:
    at = place(home)
    given: dict[str, Any] = {
        "settings": EvaluateSettings(),
        "answer": ANSWER,
        "holdout": rows_handle(home, HOLDOUT),
        "edge_cases": rows_handle(home, EDGES),
        **changes,
    }
    made = evaluate(at, predictions=[predicted(home, *variant) for variant in variants], **given)
    return made, pl.read_parquet(at.out / "graded.parquet")


def cell(made: StepResult, table: str = "metrics", **keys: str) -> dict[str, Any]:
    found = [m for m in made.facts[table] if keys.items() <= m.items()]
    assert len(found) == 1
    return found[0]


BASE = ("zero_shot", answers(*(i for i, _ in IDS)))
FEW = ("few_shot", answers("h0", "h1", "h2"))
TUNED = ("tuned", answers("h9"))


def test_rates_count_what_is_right_by_set_and_slice(home: Path) -> None:
    made, graded = run(home, BASE, FEW, TUNED)
    assert made.facts["variants"] == ["zero_shot", "few_shot", "tuned"]
    assert cell(made, variant="tuned", slice="holdout", metric="intent")["right"] == 9
    assert cell(made, variant="tuned", slice="long", metric="intent")["value"] == pytest.approx(5 / 6)
    assert cell(made, variant="tuned", slice="edge_cases", metric="intent")["n"] == 4
    assert cell(made, variant="few_shot", slice="short", metric="intent")["value"] == 0.25
    assert {m["slice"] for m in made.facts["metrics"]} == {"holdout", "edge_cases", "short", "long", "hostile"}
    assert graded.height == made.rows == 3 * 14
    assert graded.columns[:7] == ["row_id", "set", "slice", "variant", "question", "expected", "answer"]
    assert graded.columns[7:] == ["json_valid", "schema_valid", "intent", "all_graded", "exact"]
    assert graded.filter(pl.col("row_id") == "h3")["question"].unique().to_list() == ["q h3"]  # the last of two


def test_differences_are_paired_by_row(home: Path) -> None:
    made, _ = run(home, BASE, FEW, TUNED)
    paired = cell(made, "differences", baseline="few_shot", slice="holdout", metric="intent")
    assert (paired["wins"], paired["losses"], paired["n"]) == (3, 1, 10)
    assert paired["difference"] == pytest.approx(0.2)
    assert paired["low"] < 0 < paired["high"]
    assert cell(made, "differences", baseline="zero_shot", slice="holdout", metric="intent")["low"] > 0


def test_the_best_baseline_is_the_one_with_most_right_on_the_first_graded_field(home: Path) -> None:
    made, _ = run(home, BASE, FEW, TUNED)
    assert made.facts["best_baseline"] == "few_shot"
    assert made.line == "intent 90 % [59, 100] tuned against 70 % [39, 100] few_shot on 10 rows"
    assert made.table[0]["tuned - few_shot"].endswith("]")


def test_an_answer_in_prose_is_wrong_in_every_field_and_stays_in_the_count(home: Path) -> None:
    made, graded = run(home, ("tuned", answers(prose=("h0", "h1"))))
    assert cell(made, slice="holdout", metric="json_valid")["right"] == 8
    assert cell(made, slice="holdout", metric="intent")["n"] == 10
    assert not any(graded.filter(pl.col("row_id") == "h0").row(0)[7:])
    assert made.facts["best_baseline"] == ""
    assert made.facts["differences"] == []


def test_without_edge_cases_the_holdout_is_all_there_is(home: Path) -> None:
    made, _ = run(home, ("tuned", answers()[:10]), edge_cases=None)
    assert {m["slice"] for m in made.facts["metrics"]} == {"holdout", "short", "long"}


def test_free_text_answers_are_graded_by_exact_match_alone(home: Path) -> None:
    made, _ = run(home, ("tuned", answers("h0")), answer=AnswerSettings())
    assert {m["metric"] for m in made.facts["metrics"]} == {"exact"}
    assert made.line.startswith("exact 90 %")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda a: a[1:], "rows without an answer: 1"),
        (lambda a: [(*a[0][:2], None), *a[1:]], "rows without an answer: 1"),
        (lambda a: [a[0], *a], "rows with more than one answer: 1"),
        (lambda a: [*a, ("x1", "holdout", RIGHT)], "answers to rows of neither .*: 1"),
        (lambda a: [("h0", "edge_cases", RIGHT), *a[1:]], "rows without an answer: 1"),
    ],
)
def test_a_missing_doubled_or_foreign_answer_is_an_error_that_names_it(home: Path, spoil: Any, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        run(home, BASE, ("tuned", spoil(answers())))
    assert "Predictions of tuned" in str(caught.value)
    assert "h0" in str(caught.value) or "x1" in str(caught.value)


def test_variants_must_be_distinct_and_hold_the_tuned_model(home: Path) -> None:
    for variants in ([BASE], [TUNED, TUNED], []):
        with pytest.raises(DataError, match="variants to compare"):
            run(home, *variants)


@pytest.mark.parametrize("expected", ["refund", '{"intent": "rant"}', "{}"])
def test_an_expected_answer_that_no_model_could_match_is_an_error(home: Path, expected: str) -> None:
    broken = [*HOLDOUT[:-1], row("h9", expected=expected)]
    with pytest.raises(DataError, match="1 of 10 expected answers") as caught:
        run(home, TUNED, holdout=rows_handle(home, broken))
    assert "holdout row h9" in str(caught.value)


def test_a_holdout_row_without_an_assistant_message_is_an_error(home: Path) -> None:
    question = {**row("h9"), "messages": [{"role": "user", "content": "hello?"}]}
    with pytest.raises(DataError, match="no assistant message"):
        run(home, TUNED, holdout=rows_handle(home, [*HOLDOUT[:-1], question]), answer=AnswerSettings())


@pytest.mark.parametrize("name", ["holdout", "edge_cases", "short"])
def test_a_slice_name_that_would_mean_two_things_is_an_error(home: Path, name: str) -> None:
    with pytest.raises(DataError, match="two things"):
        run(home, TUNED, edge_cases=rows_handle(home, [row(f"e{i}", slice=name) for i in range(4)]))


def test_slices_are_named_before_anything_is_trained() -> None:
    frame = pl.DataFrame([*HOLDOUT, row("h10")], schema=ROW_SCHEMA)
    assert slice_names(frame) == ("holdout", "long", "short")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_and_answers_changes_no_byte(home: Path, order: random.Random) -> None:
    def shuffled(items: list[Any]) -> list[Any]:
        return order.sample(items, len(items))

    first, second = place(home), place(home)
    for at, mix in ((first, list), (second, shuffled)):
        made = evaluate(
            at,
            settings=EvaluateSettings(),
            answer=ANSWER,
            holdout=rows_handle(home, mix(HOLDOUT)),
            edge_cases=rows_handle(home, mix(EDGES)),
            predictions=[predicted(home, name, mix(given)) for name, given in (BASE, FEW, TUNED)],
        )
        (at.out / FACTS).write_text(json.dumps([made.line, made.facts, made.table]))
    assert digest_path(first.out) == digest_path(second.out)


def asking(row_id: str, text: str) -> dict[str, Any]:
    said = [("user", text), ("assistant", RIGHT)]
    return {**row(row_id, slice="short"), "messages": [{"role": role, "content": content} for role, content in said]}


def test_a_holdout_that_asks_the_same_ten_times_proves_as_much_as_one_that_asks_it_once(home: Path) -> None:
    """The questions are unlike; copies differ in a capital or a courtesy, as exports have them."""
    texts = [
        "I want my money back for the tent that leaks.",
        "The lamp arrived broken, please refund me today!",
        "Nobody answers, and my card was charged twice.",
        "Refund for the chair in the wrong colour?",
    ]
    copies = [f"{hello}{text}" for text in texts for hello in ("", "Hello, ", "HELLO. ", "  ", "hi! ")]
    many = [asking(f"h{number:02}", text) for number, text in enumerate(copies)]
    few = [asking(f"h{number:02}", text) for number, text in enumerate(texts)]
    made = {}
    for name, rows in (("many", many), ("few", few)):
        wrong = len(rows) // 4  # all of the first question
        told = [(r["row_id"], "holdout", WRONG if i < wrong else RIGHT) for i, r in enumerate(rows)]
        holdout = rows_handle(home, rows)
        made[name], _ = run(home, ("tuned", told), holdout=holdout, edge_cases=None)
    shown = {name: cell(one, variant="tuned", slice="holdout", metric="intent") for name, one in made.items()}
    assert (shown["many"]["n"], shown["few"]["n"]) == (20, 4)
    assert shown["many"]["low"] == pytest.approx(shown["few"]["low"], abs=0.01)
    assert shown["many"]["high"] == pytest.approx(shown["few"]["high"], abs=0.01)
    assert made["many"].facts["questions"] == {"holdout": 4, "short": 4}
    assert made["few"].facts["questions"] == {}
    assert made["many"].line.endswith("on 20 rows (4 different questions)")
