"""Twins, contradictions and leaks against the definition, written out pair by pair; and the same in any order of the rows."""

from __future__ import annotations

import random
import re
from itertools import product

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.relations import compared, contradictions, leaks, twins
from tasks.core.answer import AnswerSettings
from tasks.core.ledger import ROW_SCHEMA
from tasks.core.settings import DatasetKind

Row = tuple[str, str, str, str | None]  # system, prompt, answer, rejected
WORDS = st.lists(st.sampled_from(["where", "is", "my", "red", "lamp"]), min_size=0, max_size=6).map(" ".join)
ROWS = st.lists(st.tuples(st.sampled_from(["", "Be kind."]), WORDS, st.sampled_from(["a", "B", "b"]), st.none()), max_size=9)
PAIRS = st.lists(st.tuples(st.just(""), st.sampled_from(["p", "P ", "q"]), st.sampled_from("abc"), st.sampled_from("abc")))
LABELLED, PREFERENCE = DatasetKind(name="classification"), DatasetKind(name="preference")


def frame(rows: list[Row]) -> pl.DataFrame:
    told = [
        {"row_id": f"{n:04d}", "source": "raw.jsonl", "line": n, "rejected": rejected, "meta": "{}",
         "messages": [*([{"role": "system", "content": system}] if system else []),
                      {"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}
        for n, (system, prompt, answer, rejected) in enumerate(rows)
    ]  # fmt: skip
    return pl.DataFrame(told, schema=ROW_SCHEMA)


def mixed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows[random.Random(3).sample(range(rows.height), rows.height)] if rows.height else rows


def alike(a: str, b: str) -> bool:
    sets = []
    for text in (a, b):
        words = re.findall(r"\w+", text.lower())
        sets.append({tuple(words[i : i + 3]) for i in range(max(len(words) - 2, 1))} if words else set())
    both, either = sets[0] & sets[1], sets[0] | sets[1]
    return a.lower().split() == b.lower().split() or (bool(either) and 10 * len(both) >= 7 * len(either))


def first(row: int, others: list[int]) -> str | None:
    return f"{min(others):04d}" if others else None


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_a_twin_is_the_first_of_the_earlier_rows_that_is_alike(rows: list[Row]) -> None:
    asked = compared(mixed(frame(rows)))
    keys = {"prompt": lambda r: r[1], "answer": lambda r: r[2], "pair": lambda r: f"{r[1]}\n{r[2]}"}
    for of, key in keys.items():
        for n, (row, found) in enumerate(zip(rows, twins(asked, of), strict=True)):
            under = [m for m in range(n) if of == "answer" or rows[m][0] == row[0]]
            assert found == first(n, [m for m in under if alike(key(rows[m]), key(row))]), of


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_a_contradiction_is_a_like_prompt_with_another_label(rows: list[Row]) -> None:
    found = contradictions(compared(mixed(frame(rows))), AnswerSettings(), LABELLED).to_list()
    for n, (system, prompt, answer, _) in enumerate(rows):
        against = [
            m for m, (s, p, a, _) in enumerate(rows) if s == system and alike(p, prompt) and a.lower() != answer.lower()
        ]  # fmt: skip
        assert found[n] == first(n, against)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_a_pair_is_contradicted_by_the_one_that_prefers_the_other_way(rows: list[Row]) -> None:
    found = contradictions(compared(mixed(frame(rows))), AnswerSettings(), PREFERENCE).to_list()
    for n, (_, prompt, chosen, rejected) in enumerate(rows):
        against = [m for m, (_, p, c, r) in enumerate(rows) if alike(p, prompt) and (c, r) == (rejected, chosen)]
        assert found[n] == first(n, against)


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_a_leak_asks_what_a_judging_row_asks_under_any_system_message(rows: list[Row], judging: list[Row]) -> None:
    judge = mixed(frame(judging))
    found = leaks(compared(mixed(frame(rows))), [judge[: judge.height // 2], judge[judge.height // 2 :]]).to_list()
    for n, row in enumerate(rows):
        assert found[n] == first(n, [m for m, other in enumerate(judging) if alike(row[1], other[1])])


def test_without_a_label_only_the_very_same_prompt_contradicts() -> None:
    rows = frame([("", "Where is my red lamp please", "Here.", None), ("", "where is  my red lamp please", "There.", None),
                  ("", "Where is my red lamp please now", "Gone.", None)])  # fmt: skip
    free = contradictions(compared(rows), AnswerSettings(), DatasetKind())
    assert free.to_list() == ["0001", "0000", None]
    assert contradictions(compared(rows), AnswerSettings(), LABELLED).to_list() == ["0001", "0000", "0000"]


def test_ten_thousand_copies_are_no_trouble() -> None:
    rows = frame([("", "Where is my lamp", "ab"[n % 2], None) for n, _ in product(range(10_000), "x")])
    asked = compared(rows)
    assert twins(asked, "prompt").to_list() == [None, *["0000"] * 9_999]
    assert contradictions(asked, AnswerSettings(), LABELLED).to_list() == ["0001", "0000"] * 5_000
