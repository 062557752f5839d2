"""split: relatives stay together, each label is validated in proportion, and every run repeats it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.curation.split import SplitSettings, split
from tasks.metrics.answer_schema import AnswerSettings

INTENT = AnswerSettings(label="intent")
PARCEL = "my parcel was due on monday and it still has not come what can you do"


def row(prompt: str, intent: str, line: int = 1, row_id: str = "") -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": json.dumps({"intent": intent})}]
    row_id = row_id or hashlib.sha256(f"{prompt}{intent}".encode()).hexdigest()
    return {"row_id": row_id, "source": "a.jsonl", "line": line, "messages": messages, "meta": "{}"}


def frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


def distinct(n: int, intent: str) -> list[dict[str, Any]]:
    return [row(f"question {i} about {intent}{i} and a thing of {intent} number {i * 17}", intent) for i in range(n)]


def run(given: list[dict[str, Any]], answer: AnswerSettings = INTENT, kind: str = "sft", **chosen: Any) -> Outcome:
    outcome = split(frame(given), SplitSettings(**chosen), answer, KINDS[kind])
    check_balance("split", frame(given), outcome)
    return outcome


def sides(outcome: Outcome) -> dict[str, int]:
    return dict(Counter(outcome.kept["split"].to_list()))


def labels(kept: pl.DataFrame) -> dict[str, int]:
    return dict(Counter(json.loads(messages[-1]["content"])["intent"] for messages in kept["messages"].to_list()))


def test_a_tenth_of_each_label_validates() -> None:
    outcome = run([*distinct(40, "x"), *distinct(20, "y"), *distinct(10, "z")])
    assert labels(outcome.kept.filter(pl.col("split") == "validation")) == {"x": 4, "y": 2, "z": 1}
    assert sides(outcome) == {"train": 63, "validation": 7}


def test_validation_can_be_left_out() -> None:
    assert sides(run([*distinct(5, "x"), *distinct(5, "y")], validation=0)) == {"train": 10}


def test_a_few_rows_still_get_one_that_validates() -> None:
    assert sides(run([*distinct(2, "x"), *distinct(1, "y")])) == {"train": 2, "validation": 1}


def test_looser_relatives_stay_on_one_side() -> None:
    words = [[f"{family}w{i}" for i in range(24)] for family in range(20)]
    rows = [
        row(" ".join(text[shift : shift + 18]), "xy"[family % 2], row_id=f"{family:02d}-{shift}")
        for family, text in enumerate(words)
        for shift in (0, 3, 6)  # 0 and 6 meet only through 3
    ]
    outcome = run(rows, validation=0.3)
    families = outcome.kept.group_by(pl.col("row_id").str.head(2)).agg(pl.col("split").n_unique())
    assert families["split"].to_list() == [1] * 20
    assert sides(outcome) == {"train": 42, "validation": 18}


def test_a_prompt_under_two_system_messages_stays_on_one_side() -> None:
    twice = [
        row(f"question {n} on the {n * 7}", "xy"[n % 2], row_id=f"{n:02d}{side}") for n in range(32) for side in "ab"
    ]
    for told in twice[::2]:
        told["messages"] = [{"role": "system", "content": "Be kind."}, *told["messages"]]
    outcome = run(twice, validation=0.5)
    assert (
        outcome.kept.group_by(pl.col("row_id").str.head(2)).agg(pl.col("split").n_unique())["split"].to_list()
        == [1] * 32
    )
    assert sides(outcome) == {"train": 32, "validation": 32}


def test_a_frame_of_instructions_that_all_rows_have_makes_no_relatives() -> None:
    frame_of_all = "You help the customers of a shop. Read the message, think, and answer it in two sentences at most."
    words = [f"{frame_of_all} {n}a {n}b {n}c {n}d {n}e" for n in range(200)]
    pairs = [row(text + end, "xy"[n % 2], row_id=f"{n:03d}{end}") for n, text in enumerate(words) for end in ("", " f")]
    outcome = run(pairs, validation=0.2)
    assert sides(outcome) == {"train": 320, "validation": 80}
    assert (
        outcome.kept.group_by(pl.col("row_id").str.head(3)).agg(pl.col("split").n_unique())["split"].to_list()
        == [1] * 200
    )


@pytest.mark.parametrize(
    "told",
    [
        "You help the customers of a shop. Read the message and answer it in two sentences. ",
        "请阅读下面这条客户留言，用两句话回答：",
    ],
)
def test_nor_does_it_in_a_small_set(told: str) -> None:
    rows = [row(f"{told}{n}a {n}b {n}c", "xy"[n % 2], row_id=f"{n:02d}") for n in range(9)]
    assert sides(run(rows, validation=0.25)) == {"train": 7, "validation": 2}


def test_relatives_stay_on_one_side_where_no_spaces_are_written() -> None:
    texts = [
        "上个月买的书桌到现在都没有收到，请帮我查一下快递的情况",
        "发票抬头可以修改吗，什么时候能寄出",
        "送货上门需要另外付钱吗",
    ]
    rows = [row(text + end, "xy"[n % 2], row_id=f"{n}{end}") for n, text in enumerate(texts) for end in ("", "谢谢")]
    outcome = run(rows, validation=0.4)
    assert (
        outcome.kept.group_by(pl.col("row_id").str.head(1)).agg(pl.col("split").n_unique())["split"].to_list()
        == [1] * 3
    )


def test_thousands_of_rows_from_a_few_templates_are_split_in_seconds() -> None:
    rows = [
        row(" ".join(f"{n % 20}w{i}" for i in range(30)) + f" {n}a {n}b", "xy"[n // 20 % 2], row_id=f"{n:05d}")
        for n in range(12_000)  # each template makes 180,000 pairs
    ]
    assert sides(run(rows)) == {"train": 10_800, "validation": 1_200}


def test_preference_pairs_are_of_one_kind_and_those_of_one_prompt_stay_together() -> None:
    pairs = [
        {**row(f"question {n} on the {n * 7}", "x", row_id=f"{n:02d}{side}"), "rejected": side}
        for n in range(20)
        for side in "abc"
    ]
    outcome = run(pairs, kind="preference", validation=0.2)
    assert sides(outcome) == {"train": 48, "validation": 12}
    assert (
        outcome.kept.group_by(pl.col("row_id").str.head(2)).agg(pl.col("split").n_unique())["split"].to_list()
        == [1] * 20
    )


def test_one_class_is_an_error_that_names_it_and_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"(?s)Only one class.*intent = 'x'.*add rows of the other classes"):
        run(distinct(5, "x"))


def test_free_text_has_no_classes_to_miss() -> None:
    assert run(distinct(20, "x"), answer=AnswerSettings()).kept.height == 20


def test_the_answer_of_a_classification_row_is_its_label() -> None:
    rows = [row(f"text {n} of {label}{n * 7}", label) for label in "xy" for n in range(20)]
    outcome = run(rows, AnswerSettings(), "classification", validation=0.2)
    assert labels(outcome.kept.filter(pl.col("split") == "validation")) == {"x": 4, "y": 4}
    with pytest.raises(DataError, match="Only one class"):
        run(rows[:20], AnswerSettings(), "classification")


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.sampled_from("xyz")), min_size=6, max_size=40),
    st.integers(0, 9),
)
def test_the_order_of_the_rows_does_not_matter(drawn: list[tuple[int, int, str]], seed: int) -> None:
    rows = [
        row(" ".join(f"{family}w{i}" for i in range(3 * shift, 3 * shift + 15)), label, row_id=f"{n:03d}")
        for n, (family, shift, label) in enumerate(drawn)
    ]
    rows += [*distinct(2, "x"), *distinct(2, "y")]
    once = run(rows)
    Random(seed).shuffle(rows)
    assert run(rows).kept.sort("row_id").equals(once.kept.sort("row_id"))
