"""label errors: planted wrong labels are found and named; what cannot be judged is left alone, and says so."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA, content_json
from tasks.core.row_kind import CLASSIFICATION, PREFERENCE, SFT, RowKind
from tasks.curation.label_errors import (
    NOT_JUDGED,
    RELABELLED,
    SUSPECT,
    UNTOLD,
    LabelErrorSettings,
    label_errors,
    likelihood,
)
from tasks.metrics.answer_schema import AnswerSettings

INTENT, TEXT = AnswerSettings(label="intent"), AnswerSettings()
CLASSES = CLASSIFICATION
SAID = {
    "refund": ["my money back", "a refund", "the amount returned to my card", "paid back what I spent"],
    "parcel": ["my parcel is late", "the courier never came", "tracking stands still", "the delivery is lost"],
    "login": ["the password is refused", "my account is locked", "no reset mail comes", "I cannot sign in"],
}
AROUND = [
    "please help",
    "since monday",
    "for the third time",
    "and nobody answers",
    "thank you",
    "it is urgent",
    "as I wrote",
]


def row(text: str, answer: str, row_id: str = "") -> dict[str, Any]:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return {
        "row_id": row_id or hashlib.sha256(text.encode()).hexdigest(),
        "source": "a.csv",
        "line": 1,
        "messages": messages,
    }


def texts(each: int = 28) -> list[tuple[str, str]]:
    """(text, label): every text says what its label says, twice, and then something that any could say."""
    random = Random(7)
    told = [
        (label, *random.sample(said, 2), *random.sample(AROUND, 2)) for label, said in SAID.items() for _ in range(each)
    ]
    return [(f"{a}, {b} {c}, {d}, {i}", label) for i, (label, a, b, c, d) in enumerate(told)]


def planted(wrong: int = 6) -> tuple[list[tuple[str, str]], dict[str, tuple[str, str]]]:
    """texts with some labels wrong, and {row_id: (given, right)} of those."""
    told, names, found = texts(), list(SAID), {}
    for n in range(wrong):
        at = n * len(told) // wrong + n
        text, right = told[at]
        given = names[(names.index(right) + 1 + n % 2) % 3]
        told[at] = text, given
        found[hashlib.sha256(text.encode()).hexdigest()] = given, right
    return told, found


def run(
    rows: list[dict[str, Any]], answer: AnswerSettings = TEXT, kind: RowKind = CLASSES, **chosen: Any
) -> tuple[pl.DataFrame, Outcome]:
    frame = pl.DataFrame(rows, schema=ROW_SCHEMA)
    outcome = label_errors(frame, LabelErrorSettings(**{"policy": "quarantine", **chosen}), answer, kind)
    check_balance("label_errors", frame, outcome)
    assert outcome.kept.schema == frame.schema
    return frame, outcome


def told(outcome: Outcome, reason: str = SUSPECT) -> dict[str, dict[str, Any]]:
    entries = outcome.ledger.filter(pl.col("reason") == reason).select("row_id", "evidence").iter_rows()
    return {row_id: json.loads(evidence) for row_id, evidence in entries}


def answered(outcome: Outcome) -> dict[str, str]:
    return {
        row_id: messages[-1]["content"] for row_id, messages in outcome.kept.select("row_id", "messages").iter_rows()
    }


def test_planted_wrong_labels_are_held_back_with_the_right_one_suggested_and_no_others() -> None:
    data, wrong = planted()
    _, outcome = run([row(text, label) for text, label in data])
    found = told(outcome)
    assert {row_id: (about["given"], about["suggested"]) for row_id, about in found.items()} == wrong
    assert set(outcome.ledger["action"]) == {"quarantined"}
    assert outcome.kept.height == len(data) - len(wrong)


def test_suspects_are_ranked_by_how_unlikely_their_label_is_and_the_ledger_has_no_text_of_a_row() -> None:
    _, outcome = run([row(text, label) for text, label in planted()[0]])
    ranked = sorted(told(outcome).values(), key=lambda about: about["rank"])
    assert [about["rank"] for about in ranked] == [1, 2, 3, 4, 5, 6]
    assert [about["self_confidence"] for about in ranked] == sorted(about["self_confidence"] for about in ranked)
    assert all(about["self_confidence"] < about["confidence"] for about in ranked)
    assert all(about["lift"] < 1 and about["of"] == 6 for about in ranked)
    assert {key for about in ranked for key in about} == {
        "given",
        "suggested",
        "self_confidence",
        "confidence",
        "lift",
        "rank",
        "of",
        "accuracy",
    }


def test_right_labels_are_left_alone() -> None:
    frame, outcome = run([row(text, label) for text, label in texts()])
    assert outcome.ledger.is_empty()
    assert outcome.kept.equals(frame)


def test_a_smaller_lift_holds_back_fewer_and_only_from_among_the_same_rows() -> None:
    rows = [row(text, label) for text, label in planted()[0]]
    usual, strict = (set(told(run(rows, lift=lift)[1])) for lift in (0.9, 0.11))
    assert 0 < len(strict) < len(usual)
    assert strict < usual


def test_by_default_every_row_is_kept_and_the_suspects_are_noted() -> None:
    data, wrong = planted()
    frame, outcome = run([row(text, label) for text, label in data], policy=LabelErrorSettings().policy)
    assert outcome.kept.sort("row_id").equals(frame.sort("row_id"))
    assert set(told(outcome)) == set(wrong)
    assert set(outcome.ledger["action"]) == {"kept"}


@pytest.mark.parametrize("policy", ["quarantine", "relabel"])
def test_no_label_loses_more_than_its_share_and_the_rest_is_noted(policy: str) -> None:
    data, wrong = planted()
    _, outcome = run([row(text, label) for text, label in data], policy=policy, max_share=0.05)
    found = outcome.ledger.with_columns(given=pl.col("evidence").str.json_path_match("$.given"))
    acted, noted = (found.filter((pl.col("action") == "kept") == kept) for kept in (False, True))
    given, sizes = Counter(given for given, _ in wrong.values()), Counter(label for _, label in data)
    assert Counter(acted["given"]) == {label: min(given[label], int(0.05 * sizes[label])) for label in given}
    assert noted.height == len(wrong) - acted.height > 0
    ranks = {
        row_id: about["rank"] for reason in (SUSPECT, RELABELLED) for row_id, about in told(outcome, reason).items()
    }
    surest = {label: min(ranks[i] for i, (given_, _) in wrong.items() if given_ == label) for label in given}
    assert {ranks[row_id] for row_id in acted["row_id"]} == set(surest.values())


@pytest.mark.parametrize("policy", ["quarantine", "relabel", "report"])
def test_where_texts_do_not_tell_the_labels_nothing_is_done_and_the_ledger_says_why(policy: str) -> None:
    random = Random(4)
    parts = [*AROUND, *(part for parts in SAID.values() for part in parts)]
    said = [" ".join(random.sample(parts, 4)) for _ in range(200)]
    rows = [row(f"{text} {n}", random.choices(["yes", "no", "maybe"], [55, 34, 11])[0]) for n, text in enumerate(said)]
    frame, outcome = run(rows, policy=policy)
    assert outcome.kept.sort("row_id").equals(frame.sort("row_id"))
    assert set(outcome.ledger["reason"]) == {UNTOLD}
    about = json.loads(outcome.ledger["evidence"][0])
    assert about["accuracy"] < about["commonest_label"] + 0.1


@pytest.mark.parametrize("values", [{name: name for name in SAID}, {name: n for n, name in enumerate(SAID)}])
def test_relabel_changes_the_label_alone_in_its_own_type_and_both_states_are_on_record(values: dict[str, Any]) -> None:
    data, wrong = planted()
    rows = [
        row(text, json.dumps({"intent": values[label], "urgency": "løw"}, ensure_ascii=False)) for text, label in data
    ]
    frame, outcome = run(rows, INTENT, SFT, policy="relabel")
    answers = {
        row_id: json.loads(messages[-1]["content"])
        for row_id, messages in outcome.kept["row_id", "messages"].iter_rows()
    }
    right = {row_id: values[label] for row_id, (_, label) in wrong.items()}
    assert {row_id: answers[row_id] for row_id in wrong} == {
        i: {"intent": v, "urgency": "løw"} for i, v in right.items()
    }
    untouched = ~pl.col("row_id").is_in(list(wrong))
    assert outcome.kept.filter(untouched).equals(frame.filter(untouched).sort("row_id"))
    now = {row["row_id"]: hashlib.sha256(content_json(row).encode()).hexdigest() for row in outcome.kept.to_dicts()}
    was = {row["row_id"]: hashlib.sha256(content_json(row).encode()).hexdigest() for row in frame.to_dicts()}
    entries = outcome.ledger.select("row_id", "action", "reason", "before", "after").rows()
    assert entries == [(i, "changed", RELABELLED, was[i], now[i]) for i in sorted(wrong)]


def test_a_relabelled_classification_row_has_the_suggested_label_as_its_answer() -> None:
    data, wrong = planted()
    _, outcome = run([row(text, label) for text, label in data], policy="relabel")
    answers = answered(outcome)
    assert {row_id: answers[row_id] for row_id in wrong} == {row_id: right for row_id, (_, right) in wrong.items()}


def test_a_rare_label_is_not_judged_and_not_suggested_and_the_ledger_says_so() -> None:
    data, wrong = planted()
    rare = [row(f"the vase has a crack, sort {n}", "broken", f"rare{n}") for n in range(9)]
    frame, outcome = run([*rare, *(row(text, label) for text, label in data)])
    assert told(outcome, NOT_JUDGED) == {f"rare{n}": {"rows": 9, "needed": 10} for n in range(9)}
    assert set(told(outcome)) == set(wrong)
    assert outcome.kept.height == frame.height - len(wrong)


def test_one_label_cannot_be_wrong() -> None:
    frame, outcome = run([row(text, "refund") for text, _ in texts()])
    assert outcome.ledger.is_empty()
    assert outcome.kept.equals(frame)


def test_few_different_free_answers_are_labels_and_many_are_not() -> None:
    data, wrong = planted()
    assert set(told(run([row(text, label) for text, label in data], TEXT, SFT)[1])) == set(wrong)
    spoken = [row(text, f"{label}: we look into case {n // 5}") for n, (text, label) in enumerate(data)]
    assert run(spoken, TEXT, SFT)[1].ledger.is_empty()


def test_preference_pairs_have_no_labels_and_off_looks_for_none() -> None:
    rows = [row(text, label) for text, label in planted()[0]]
    pairs = [{**row, "rejected": "no"} for row in rows]
    assert run(pairs, TEXT, PREFERENCE)[1].ledger.is_empty()
    assert run(rows, policy="off")[1].ledger.is_empty()


def test_texts_without_words_are_no_obstacle() -> None:
    frame, outcome = run([row("!?", "xy"[n % 2], f"{n:02d}") for n in range(24)])
    assert outcome.kept.equals(frame)


def test_no_row_is_judged_by_a_classifier_that_saw_it() -> None:
    vectors = np.random.default_rng(1).normal(size=(90, 200)).astype(np.float32)
    labels = np.arange(90) % 3  # noise: whoever has seen a row knows its label, whoever has not can only guess
    likely = likelihood(vectors, labels, folds=9)
    assert likely[np.arange(90), labels].mean() < 0.45
    assert np.allclose(likely.sum(axis=1), 1, atol=1e-4)


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from(["quarantine", "relabel", "report"]), st.sampled_from([1, 2]))
def test_neither_the_order_of_the_rows_nor_the_number_of_threads_matters(seed: int, policy: str, threads: int) -> None:
    rows = [row(text, label) for text, label in planted()[0]]
    _, once = run(rows, policy=policy)
    Random(seed).shuffle(rows)
    with threadpool_limits(threads):
        _, again = run(rows, policy=policy)
    assert again.kept.sort("row_id").equals(once.kept.sort("row_id"))
    assert again.ledger.equals(once.ledger)
