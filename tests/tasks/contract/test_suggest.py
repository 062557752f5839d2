"""A drafted contract: it can be read, it lets the data through that it was drafted from, and it stops data that got
worse.
"""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from data_contracts.contract import Contract, read_contract
from data_contracts.expectations import validate
from tasks.contract.measure import FactSources, facts_for
from tasks.contract.suggest import suggest
from tasks.core.errors import DataError
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings

SCHEMA = {"type": "object", "required": ["intent"], "properties": {"intent": {"enum": ["order", "refund", "no"]}}}
ANSWER = AnswerSettings(label="intent", graded=("intent",), json_schema=SCHEMA)


def known(kind: str = "sft", answer: AnswerSettings | None = None) -> FactSources:
    judge = frame([("Who are you, and what can you do?", "I am a shop.")])
    return FactSources(answer or AnswerSettings(), KINDS[kind], PromptSettings(), heldout=[judge])


def frame(rows: list[tuple[str, str]], rejected: str | None = None) -> pl.DataFrame:
    told = [
        {
            "row_id": f"{n:064x}",
            "source": "raw.jsonl",
            "line": n + 1,
            "rejected": rejected,
            "meta": "{}",
            "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}],
        }
        for n, (prompt, answer) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=ROW_SCHEMA)


def asked(count: int = 60) -> list[str]:
    words = ("why", "when", "where")
    return [
        f"Message {n} asks on topic {n * n}, and {words[n % 3]} it is so {'very ' * (n % 7)}late" for n in range(count)
    ]


def triage(count: int = 60) -> list[tuple[str, str]]:
    return [(prompt, '{"intent": "%s"}' % ("order" if n % 3 else "refund")) for n, prompt in enumerate(asked(count))]


def drafted(rows: pl.DataFrame, given: FactSources, place: Path) -> tuple[Contract, str]:
    text = suggest(rows, given, "mine", "raw.jsonl")
    (place / "mine.yaml").write_text(text)
    return read_contract("mine.yaml", place), text


def broken(contract: Contract, rows: pl.DataFrame, given: FactSources) -> list[tuple[str, str]]:
    results = validate(contract, facts_for(contract, rows, given))["results"]
    return [(e.severity, e.name) for e, r in zip(contract.expectations, results, strict=True) if not r["success"]]


@pytest.mark.parametrize(
    ("kind", "answer", "rows"),
    [
        ("sft", ANSWER, frame(triage())),
        ("sft", None, frame([(p, f"An answer to {p}") for p in asked()])),
        ("classification", None, frame([(p, "yes" if n % 4 else "no") for n, p in enumerate(asked())])),
        ("preference", None, frame([(p, f"An answer to {p}") for p in asked()], "Go away.")),
    ],
    ids=["labelled", "free", "classification", "preference"],
)
def test_a_draft_holds_on_its_data_extends_its_kind_and_gives_a_reason_for_each_line(
    tmp_path: Path, kind: str, answer: AnswerSettings | None, rows: pl.DataFrame
) -> None:
    given = known(kind, answer)
    contract, text = drafted(rows, given, tmp_path)
    assert broken(contract, rows, given) == []
    assert (contract.kind, yaml.safe_load(text)["extends"]) == (kind, kind)
    assert all(e.why for e in contract.expectations)
    own = [e for e in contract.expectations if e.file == "mine.yaml"]
    assert {e.name for e in own} >= {
        "expect_table_row_count_to_be_between",
        "expect_duplicate_rate_to_be_at_most",
        "expect_conflict_rate_to_be_at_most",
        "expect_column_values_to_be_between",
    }
    assert max(map(len, text.splitlines())) <= 128


@pytest.mark.parametrize(
    ("worse", "rule"),
    [
        (triage(40), ("block", "expect_table_row_count_to_be_between")),
        (
            [*triage(), ("Another new thing entirely", '{"intent": "no"}')],
            ("block", "expect_column_values_to_be_in_set"),
        ),
        (
            [*triage(), *[(f"Subject {n} of this kind is different", "It is late.") for n in range(5)]],
            ("block", "expect_column_values_to_be_null"),
        ),
        ([*triage(), *[(f"{p} very very", a) for p, a in triage(8)]], ("warn", "expect_duplicate_rate_to_be_at_most")),
        (
            [
                *triage(),
                *[(p, '{"intent": "%s"}' % ("order" if n % 3 == 0 else "refund")) for n, p in enumerate(asked(3))],
            ],
            ("warn", "expect_conflict_rate_to_be_at_most"),
        ),
        ([(p + " on" * 40, a) for p, a in triage()], ("warn", "expect_column_values_to_be_between")),
        (
            [*triage(), *[(f"{n} question of its own {n}", '{"intent": "refund"}') for n in range(90, 390)]],
            ("warn", "expect_column_values_to_be_balanced"),
        ),
    ],
    ids=["fewer", "label", "format", "duplicates", "conflicts", "length", "balance"],
)
def test_a_draft_notices_when_the_data_gets_worse(
    tmp_path: Path, worse: list[tuple[str, str]], rule: tuple[str, str]
) -> None:
    given = known(answer=ANSWER)
    contract, _ = drafted(frame(triage()), given, tmp_path)
    assert rule in broken(contract, frame(worse), given)


def test_what_would_block_at_once_warns_and_says_how_many_rows_to_mend(tmp_path: Path) -> None:
    rows = frame(
        [*triage(), ("One more of them", "no json"), ("My card is 4111 1111 1111 1111", '{"intent": "order"}')]
    )
    contract, text = drafted(rows, known(answer=ANSWER), tmp_path)
    assert {severity for severity, _ in broken(contract, rows, known(answer=ANSWER))} == {"warn"}
    assert text.count("1 of 62 rows break this today. Mend them, then delete this line") == 2
    (format_rate,) = [e for e in contract.expectations if e.name == "expect_valid_format_rate_to_be_at_least"]
    assert format_rate.arguments == {"min_rate": 0.97}
    assert "4111" not in text


def test_personal_data_that_is_there_is_told_and_what_is_not_there_must_not_come(tmp_path: Path) -> None:
    given = known(answer=ANSWER)
    clean, _ = drafted(frame(triage()), given, tmp_path)
    mailed = frame([*triage(), ("Write to jo.doe@example.org please", '{"intent": "order"}')])
    assert broken(clean, mailed, given) == [("block", "expect_personal_data_rate_to_be_at_most")]
    _, text = drafted(mailed, given, tmp_path)
    assert "#   personal data rate to be at most (max_rate 0), 1 row\n" in text
    assert "jo.doe" not in text


def test_answers_that_are_json_are_held_to_it_without_a_schema(tmp_path: Path) -> None:
    contract, text = drafted(frame(triage()), known(), tmp_path)
    (rate,) = [e for e in contract.expectations if e.name == "expect_valid_format_rate_to_be_at_least"]
    assert rate.arguments == {"min_rate": 0.99, "form": "json"}
    assert "60 of 60 answers are one JSON object today" in text


def test_a_label_that_looks_like_a_slip_is_asked_about(tmp_path: Path) -> None:
    rows = frame(
        [("The message itself", "label"), *[(f"Text {n} {n * n}", "ja" if n % 2 else "no") for n in range(1100)]]
    )
    contract, text = drafted(rows, known("classification"), tmp_path)
    (labels,) = [
        e for e in contract.expectations if e.name == "expect_column_values_to_be_in_set" and e.columns == ("label",)
    ]
    assert labels.arguments["value_set"] == ["ja", "label", "no"]  # "no" is a text, not YAML's false
    assert "Is 'label', with 1 of 1,101 rows, one of them?" in " ".join(text.split())


TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
VALUES = st.lists(st.tuples(TEXTS, st.sampled_from(["a", "no", "{}", "x: 1", "- '"])), min_size=1, max_size=25)


@settings(max_examples=8)
@drawn(VALUES, st.sampled_from(["sft", "classification", "preference"]), st.randoms(use_true_random=False))
def test_any_rows_have_a_draft_that_lets_them_through_and_is_the_same_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, str]], kind: str, dice: random.Random
) -> None:
    rows, given = frame(values, "rejected" if kind == "preference" else None), known(kind)
    contract, text = drafted(rows, given, tmp_path_factory.mktemp("draft"))
    assert "block" not in {severity for severity, _ in broken(contract, rows, given)}
    assert suggest(rows[dice.sample(range(rows.height), rows.height)], given, "mine", "raw.jsonl") == text


def test_no_row_no_draft() -> None:
    with pytest.raises(DataError, match="no row to draft"):
        suggest(frame([]), known(), "mine", "empty.jsonl")
