"""A contract counts the rows that dedupe, conflicts and decontaminate would let go of, and none among those that they
leave.
"""

from __future__ import annotations

import random
from itertools import product

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contract.row_relations import contradicts, duplicate_of, leaked_from
from tasks.core.ledger import Outcome
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.curation.conflicts import ConflictSettings, conflicts
from tasks.curation.decontaminate import DecontaminateSettings, decontaminate
from tasks.curation.dedupe import DedupeSettings, dedupe
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.contradictions import ContradictionSettings
from tasks.relations.duplicates import DuplicateSettings, JaccardSettings
from tasks.similarity.heldout_ngrams import LeakSettings

Row = tuple[str, str, str, str]  # system, prompt, answer, rejected
KIND = st.sampled_from(list(KINDS))
WORDS = st.lists(st.sampled_from(["where", "is", "my", "red", "lamp", "now", "please"]), max_size=9).map(" ".join)
ANSWERS = st.sampled_from(["a", "B", "b", "it is on its way to you today", "it is on its way to you now"])
ROWS = st.lists(st.tuples(st.sampled_from(["", "Be kind."]), WORDS, ANSWERS, ANSWERS), max_size=14)
DROP, OFF = JaccardSettings(policy="drop"), JaccardSettings(policy="off")
OF = {
    "prompt": DedupeSettings(prompt=DROP, pair=OFF, answer=OFF),
    "pair": DedupeSettings(prompt=OFF, pair=DROP, answer=OFF),
    "answer": DedupeSettings(prompt=OFF, pair=OFF, answer=DROP),
}


def frame(rows: list[Row], kind: str = "sft") -> pl.DataFrame:
    told = [
        {
            "row_id": f"{n:04d}",
            "source": "raw.jsonl",
            "line": n,
            "meta": "{}",
            "rejected": rejected if kind == "preference" else None,
            "messages": [
                *([{"role": "system", "content": system}] if system else []),
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": answer},
            ],
        }
        for n, (system, prompt, answer, rejected) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=ROW_SCHEMA)


def mixed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows[random.Random(3).sample(range(rows.height), rows.height)] if rows.height else rows


def gone(outcome: Outcome) -> set[str]:
    return set(outcome.ledger.filter(pl.col("action") != "kept")["row_id"])


def counted(rows: pl.DataFrame, column: pl.Series) -> set[str]:
    return set(rows["row_id"].filter(column.is_not_null()))


@settings(max_examples=60)
@given(ROWS, KIND, st.sampled_from(["prompt", "pair", "answer"]))
def test_a_twin_is_what_dedupe_lets_go_of(drawn: list[Row], kind: str, of: str) -> None:
    if (of, kind) == ("answer", "classification"):
        return  # dedupe refuses to compare labels
    rows, answer = frame(drawn, kind), AnswerSettings()
    found = duplicate_of(mixed(rows), of, DuplicateSettings(), answer, KINDS[kind])  # type: ignore[arg-type]
    outcome = dedupe(rows, OF[of], KINDS[kind], answer)
    assert counted(mixed(rows), found) == gone(outcome)
    assert not counted(outcome.kept, duplicate_of(outcome.kept, of, DuplicateSettings(), answer, KINDS[kind]))  # type: ignore[arg-type]


@settings(max_examples=60)
@given(ROWS, KIND, st.sampled_from(["majority", "quarantine", "drop"]), st.randoms())
def test_a_contradiction_is_what_conflicts_holds_back(
    drawn: list[Row], kind: str, policy: str, dice: random.Random
) -> None:
    rows, answer, told = frame(drawn, kind), AnswerSettings(), ConflictSettings.model_validate({"policy": policy})
    found = contradicts(mixed(rows), told, answer, KINDS[kind])
    outcome = conflicts(rows, told, answer, KINDS[kind])
    assert counted(mixed(rows), found) == gone(outcome)
    left = outcome.kept.filter(pl.Series([dice.random() < 0.7 for _ in range(outcome.kept.height)], dtype=pl.Boolean))
    assert not counted(left, contradicts(left, told, answer, KINDS[kind], rows))


@settings(max_examples=60)
@given(ROWS, ROWS, KIND, st.randoms())
def test_a_leak_is_what_decontaminate_lets_go_of(
    drawn: list[Row], judge: list[Row], kind: str, dice: random.Random
) -> None:
    spare = [
        ("", f"how do i get to town number {n} by the early bus", f"take the bus of line {n}", "walk") for n in range(3)
    ]
    rows, other, answer = frame([*drawn, *spare], kind), frame(judge, kind), AnswerSettings()
    told = DecontaminateSettings(least=3, common=2)
    outcome = decontaminate(rows, told, other, answer=answer, kind=KINDS[kind])
    if other.height:
        assert counted(mixed(rows), leaked_from(mixed(rows), [other], told, answer, KINDS[kind])) == gone(outcome)
        left = outcome.kept.filter(
            pl.Series([dice.random() < 0.7 for _ in range(outcome.kept.height)], dtype=pl.Boolean)
        )
        assert not counted(left, leaked_from(left, [other], told, answer, KINDS[kind], rows))


def test_a_row_that_was_changed_since_counts_as_it_is_now() -> None:
    labelled, asked = KINDS["classification"], "where is my red lamp please and when does it come"
    rows = frame([("", text, "parcel", "") for text in (asked, asked.upper(), f"{asked} home")], "classification")
    changed = frame([("", asked, "parcel", ""), ("", asked.upper(), "refund", "")], "classification")
    assert contradicts(rows, ContradictionSettings(), AnswerSettings(), labelled).to_list() == [None, None, None]
    assert contradicts(changed, ContradictionSettings(), AnswerSettings(), labelled, rows).to_list() == [None, "0000"]


def test_where_conflicts_is_off_every_row_involved_is_counted() -> None:
    rows = frame(
        [("", "Where is it?", answer, "") for answer in ("here", "here too", "gone", "gone")], "classification"
    )
    found = contradicts(rows, ConflictSettings(policy="off"), AnswerSettings(), KINDS["classification"])
    assert found.null_count() == 0


@pytest.mark.parametrize("kind", ["sft", "classification"])
def test_ten_thousand_copies_are_no_trouble(kind: str) -> None:
    rows = frame([("", "Where is my lamp", "ab"[n % 2], "") for n, _ in product(range(10_000), "x")])
    twin = duplicate_of(rows, "prompt", DuplicateSettings(), AnswerSettings(), KINDS[kind])
    assert twin.null_count() == (1 if kind == "sft" else 2)  # rows with different labels are different tasks
    assert contradicts(rows, ContradictionSettings(), AnswerSettings(), KINDS[kind]).null_count() == 0
    assert leaked_from(rows, [rows[:1]], LeakSettings(), AnswerSettings(), KINDS[kind]).null_count() == 0
