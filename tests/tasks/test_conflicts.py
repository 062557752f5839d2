"""conflicts: the majority of independent voices stays, whoever contradicts it is held back with the evidence."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.conflicts import ConflictSettings, conflicts
from tasks.core.answer import AnswerSettings
from tasks.core.ledger import ROW_SCHEMA, Outcome, check_balance

INTENT = AnswerSettings(label="intent")
PARCEL = "my parcel was due on monday and it still has not come what can you do"


def row(row_id: str, prompt: str, answer: str, system: str = "") -> dict[str, Any]:
    said = [("system", system), ("user", prompt), ("assistant", answer)]
    messages = [{"role": role, "content": text} for role, text in said if role != "system" or text]
    return {"row_id": row_id, "source": "a.jsonl", "line": 1, "messages": messages, "meta": "{}"}


def labelled(row_id: str, prompt: str, intent: str, reply: str = "", system: str = "") -> dict[str, Any]:
    return row(row_id, prompt, json.dumps({"intent": intent, "reply": reply or f"reply {row_id}"}), system)


def run(rows: list[dict[str, Any]], answer: AnswerSettings = INTENT, **chosen: Any) -> Outcome:
    frame = pl.DataFrame(rows, schema=ROW_SCHEMA)
    outcome = conflicts(frame, ConflictSettings(**chosen), answer)
    check_balance("conflicts", frame, outcome)
    return outcome


def held(outcome: Outcome) -> dict[str, dict[str, Any]]:
    assert set(outcome.ledger["reason"]) <= {"contradicts another row"}
    assert set(outcome.ledger["action"]) <= {"quarantined"}
    return {row_id: json.loads(text) for row_id, text in outcome.ledger.select("row_id", "evidence").iter_rows()}


def test_the_minority_is_held_back_and_names_the_row_it_contradicts() -> None:
    outcome = run([labelled("a", PARCEL, "parcel"), labelled("b", PARCEL, "parcel"), labelled("c", PARCEL, "refund")])
    votes = [{"label": "parcel", "votes": 2}, {"label": "refund", "votes": 1}]
    assert held(outcome) == {"c": {"partner": "a", "jaccard": 1.0, "label": "refund", "labels": votes}}


def test_without_a_majority_everyone_is_held_back() -> None:
    assert set(held(run([labelled("a", PARCEL, "delivery"), labelled("b", PARCEL, "refund")]))) == {"a", "b"}


def test_nearly_the_same_prompt_contradicts_too() -> None:
    found = held(run([labelled("a", PARCEL, "delivery"), labelled("b", PARCEL + " please", "refund")]))
    assert found["b"]["partner"] == "a"
    assert 0.7 <= found["b"]["jaccard"] < 1


def test_copies_of_a_row_are_one_vote() -> None:
    copies = [labelled(f"a{i}", PARCEL, "delivery", reply="On its way.") for i in range(9)]
    assert len(held(run([*copies, labelled("b", PARCEL, "refund")]))) == 10


def test_neighbours_of_neighbours_do_not_vote() -> None:
    words = [f"w{i}" for i in range(30)]
    a, b, c = (" ".join(words[start : start + 20]) for start in (0, 3, 6))  # a like b, b like c, a unlike c
    rows = [labelled("a", a, "x"), labelled("b", b, "x"), labelled("c", c, "y"), labelled("d", c, "y")]
    assert set(held(run(rows))) == {"b"}  # two against two at b, one voice at a, two against one at c and d


def test_rows_that_agree_or_have_no_label_are_left_alone() -> None:
    rows = [labelled("a", PARCEL, "delivery"), labelled("b", PARCEL, "delivery"), row("c", PARCEL, "not JSON")]
    assert run(rows).kept.height == 3


def test_the_same_words_under_another_system_message_are_no_contradiction() -> None:
    rows = [labelled("a", PARCEL, "x", system="Label topics."), labelled("b", PARCEL, "y", system="Label moods.")]
    assert run(rows).kept.height == 2


def test_free_text_contradicts_only_under_the_very_same_prompt() -> None:
    rows = [row("a", PARCEL, "On its way."), row("b", PARCEL.upper(), "Lost."), row("c", PARCEL + " please", "No.")]
    assert set(held(run(rows, AnswerSettings()))) == {"a", "b"}


def test_the_policy_decides_what_becomes_of_the_majority() -> None:
    rows = [labelled("a", PARCEL, "delivery"), labelled("b", PARCEL, "delivery"), labelled("c", PARCEL, "refund")]
    assert set(held(run(rows, policy="quarantine"))) == {"a", "b", "c"}
    assert run(rows, policy="off").kept.height == 3


def test_thousands_of_variants_of_one_text_vote_together() -> None:
    text = "Your ticket {} is closed. If you think that this is wrong, reply within seven days and we look again."
    rows = [labelled(f"{i:05d}", text.format(i), "notice" if i else "refund") for i in range(12_000)]
    found = held(run(rows))
    assert list(found) == ["00000"]
    assert found["00000"]["labels"][0] == {"label": "notice", "votes": 11_999}


def test_many_answers_to_one_prompt_cost_little() -> None:
    outcome = run([row(f"{i:05d}", "hi", f"answer {i}" * 40) for i in range(10_000)], AnswerSettings())
    assert outcome.kept.is_empty()
    assert outcome.ledger["evidence"].str.len_chars().max() < 1500  # type: ignore[operator]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("xyz"), st.integers(0, 2)), max_size=25), st.randoms())
def test_the_order_of_the_rows_does_not_matter(drawn: list[tuple[int, str, int]], random: Random) -> None:
    words = [f"w{i}" for i in range(40)]
    rows = [
        labelled(f"{i:03d}", " ".join(words[3 * start : 3 * start + 20]), intent, reply=f"reply {reply}")
        for i, (start, intent, reply) in enumerate(drawn)
    ]
    once = run(rows)
    random.shuffle(rows)
    assert run(rows).ledger.equals(once.ledger)
