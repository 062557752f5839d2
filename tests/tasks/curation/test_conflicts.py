"""conflicts: the majority of independent voices stays, whoever contradicts it is held back with the evidence."""

from __future__ import annotations

import json
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
from tasks.curation.conflicts import ConflictSettings, conflicts
from tasks.metrics.answer_schema import AnswerSettings
from tasks.similarity.word_ngrams import jaccard

INTENT = AnswerSettings(label="intent")
PARCEL = "my parcel was due on monday and it still has not come what can you do"


def row(row_id: str, prompt: str, answer: str, system: str = "") -> dict[str, Any]:
    said = [("system", system), ("user", prompt), ("assistant", answer)]
    messages = [{"role": role, "content": text} for role, text in said if role != "system" or text]
    return {"row_id": row_id, "source": "a.jsonl", "line": 1, "messages": messages, "meta": "{}"}


def labelled(row_id: str, prompt: str, intent: str, reply: str = "", system: str = "") -> dict[str, Any]:
    return row(row_id, prompt, json.dumps({"intent": intent, "reply": reply or f"reply {row_id}"}), system)


def dated(row_id: str, intent: str, **columns: Any) -> dict[str, Any]:
    return {**labelled(row_id, PARCEL, intent), "meta": json.dumps(columns)}


def preferred(row_id: str, chosen: str, rejected: str, prompt: str = PARCEL) -> dict[str, Any]:
    return {**row(row_id, prompt, chosen), "rejected": rejected}


def run(rows: list[dict[str, Any]], answer: AnswerSettings = INTENT, kind: str = "sft", **chosen: Any) -> Outcome:
    frame = pl.DataFrame(rows, schema=ROW_SCHEMA)
    outcome = conflicts(frame, ConflictSettings(**chosen), answer, KINDS[kind])
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


def test_drop_lets_everyone_involved_go() -> None:
    rows = [
        labelled("a", PARCEL, "x"),
        labelled("b", PARCEL, "x"),
        labelled("c", PARCEL, "y"),
        labelled("d", "hi", "x"),
    ]
    outcome = run(rows, policy="drop")
    assert outcome.ledger["action"].to_list() == ["dropped"] * 3
    assert outcome.kept["row_id"].to_list() == ["d"]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"created_at": "2025-12-31T23:00:00Z"}, {"created_at": "2026-01-01T00:30:00+01:00"}),  # half an hour later
        ({"date": "2025-01-02"}, {"Date": "Fri, 03 Jan 2025 10:00:00 +0000"}),
        ({"timestamp": 1_700_000_000}, {"timestamp": "1700000001000"}),
        ({}, {"updated_at": "2020-01-01"}),  # no date is older than any
    ],
)
def test_with_policy_newest_the_label_of_the_newest_row_stays(older: dict[str, Any], newer: dict[str, Any]) -> None:
    rows = [dated("a", "old", **older), dated("b", "old", **older), dated("c", "new", **newer)]
    outcome = run(rows, policy="newest")
    found = held(outcome)
    assert set(found) == {"a", "b"}
    assert found["a"]["partner"] == "c"
    assert "newest" in found["a"]["labels"][1]


def test_two_labels_of_one_date_are_left_to_a_person() -> None:
    rows = [dated("a", "x", date="2026-01-01"), dated("b", "y", date="2026-01-01"), dated("c", "x", date="2025-01-01")]
    assert set(held(run(rows, policy="newest"))) == {"a", "b", "c"}


def test_a_date_column_can_be_named_and_must_hold_dates() -> None:
    rows = [
        dated("a", "x", closed="2026-01-01", date="2020-01-01"),
        dated("b", "y", closed="2025-01-01", date="2021-01-01"),
    ]
    assert set(held(run(rows, policy="newest", date="closed"))) == {"b"}
    with pytest.raises(DataError, match=r"No row has a date[\s\S]*opened"):
        run(rows, policy="newest", date="opened")
    with pytest.raises(DataError, match="No row has a date"):
        run([dated("a", "x", date="03/04/2026")], policy="newest")  # March or April


def test_a_classification_row_always_has_a_label_and_its_case_is_no_contradiction() -> None:
    rows = [row("a", PARCEL, "Delivery"), row("b", PARCEL + " please", "delivery"), row("c", PARCEL + " now", "refund")]
    assert set(held(run(rows, AnswerSettings(), "classification"))) == {"c"}


def test_a_word_that_explains_its_label_is_no_contradiction() -> None:
    pin, code = "what do i do if i forgot my pin", "what do i do if i forgot my passcode"
    rest = [row(f"p{i}", f"my pin was wrong {i} times today", "pin") for i in range(3)]
    rest += [row(f"c{i}", f"the app says {i} that a passcode is too short", "passcode") for i in range(3)]
    rows = [row("a", pin, "pin"), row("b", code, "passcode"), *rest]
    assert run(rows, AnswerSettings(), "classification").kept.height == len(rows)
    polite = [row("a", pin, "pin"), row("b", pin + " please", "passcode"), *rest]  # but please explains nothing
    assert set(held(run(polite, AnswerSettings(), "classification"))) == {"a", "b"}
    same = [row("a", pin, "pin"), row("b", pin + "?", "passcode"), *rest]  # nor are there other words here
    assert set(held(run(same, AnswerSettings(), "classification"))) == {"a", "b"}


BACK = "i bought a green lamp in your shop last week and now i want to return it"


@pytest.mark.parametrize("text", ["hello " + BACK, BACK.replace("return", "retturn"), BACK.replace(" return it", "")])
def test_a_courtesy_a_spelling_mistake_and_a_word_left_out_clear_no_pair_whose_words_fit_one_label(text: str) -> None:
    things = ("lamp", "chair", "stool", "kettle", "basket", "mirror")
    rest = [
        row(f"r{i}", f"{thing} number {i} was green and i return what i bought", "return")
        for i, thing in enumerate(things)
    ]
    rest += [row(f"g{i}", f"hello to {thing} {i}", "greeting") for i, thing in enumerate(things)]
    rows = [row("a", BACK, "return"), row("b", text, "greeting"), *rest]
    assert set(held(run(rows, AnswerSettings(), "classification"))) == {"a", "b"}


def test_free_answers_that_word_the_same_agree_but_not_with_another_number() -> None:
    text = (
        "we are sorry that your parcel is late it will be with you in 5 days and we will write again when it is there"
    )
    warm = text + " kind regards"
    assert run([row("a", PARCEL, text), row("b", PARCEL, warm)], AnswerSettings()).kept.height == 2
    rows = [row("a", PARCEL, text), row("b", PARCEL, warm), row("c", PARCEL, text.replace("5", "7"))]
    assert set(held(run(rows, AnswerSettings()))) == {"c"}


VARIED = """Your order left our warehouse this morning.
Let me check that for you, one moment please.
We are sorry for the wait, the carrier is running late.
Good news: it has been shipped already.
We packed it yesterday, so it will not be long.
It should be with you by Friday.
Hello Anna, your order is on its way.
Hello Tom, your order is on its way.
It ships within two days of your payment.
No worries, it is on the way!
Shipped!
You can follow it on your account page.
Our records show that it is out for delivery.

Kind regards, Tom"""


def test_variety_in_prose_is_no_contradiction() -> None:
    rows = [row(f"{n:02d}", "Where is my order?", text) for n, text in enumerate(VARIED.split("\n")) if text]
    assert held(run(rows, AnswerSettings())) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Yes, we ship to Norway.", "No, our carrier only goes to the EU."),
        ("Ja, das geht.", "Nein."),
        ("Three months on the cord.", "None, I am afraid."),
        ("可以，请提供新的抬头。", "不可以，发票开出后不能改。"),
        ("Your order will arrive on Monday with the courier.", "Your order will arrive on Friday with the courier."),
        ("The desk costs 120 euros and comes in white.", "The desk costs 140 euros and comes in white."),
        ("The guarantee is two years from the purchase.", "The guarantee is three years from the purchase."),
        ("The capital of Australia is Sydney.", "The capital of Australia is Canberra."),
        ("It is included in the price.", "It is not included in the price."),
        ("桌面高度为七十五厘米，桌腿不能调节。", "桌面高度为八十五厘米，桌腿不能调节。"),
        ("Paris", "Lyon"),
        ("24 less 18 is what is left.\n#### 6", "He sells 18 of 24 and bakes one more.\n#### 7"),
        ("By the second rule the answer is B.", "Since it floats, the answer is C."),
        ('{"city": "Paris", "rooms": 1}', '{"city": "Paris", "rooms": 2}'),
    ],
)
def test_another_verdict_or_another_fact_in_the_same_words_is_one(one: str, other: str) -> None:
    assert set(held(run([row("a", PARCEL, one), row("b", PARCEL, other)], AnswerSettings()))) == {"a", "b"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"city": "Paris", "rooms": 1}', '{"rooms": 1, "city": "Paris"}'),
        (
            '{"ok": true, "reply": "We will send it tomorrow by post."}',
            '{"ok": true, "reply": "It leaves us tomorrow."}',
        ),
        ("Ihre Bestellung ist unterwegs.", "Ihr Paket ist unterwegs."),
        (
            "Anna will call you tomorrow morning.\nKind regards, Tom",
            "Anna will call you tomorrow morning.\nThanks, Ella",
        ),
        ("Yes, by all means.", "Yes, we do."),
    ],
)
def test_other_words_for_the_same_are_none(one: str, other: str) -> None:
    assert run([row("a", PARCEL, one), row("b", PARCEL, other)], AnswerSettings()).kept.height == 2


INSTRUCTION = "Read the message of a customer below and say which team of the shop has to answer it, in one word.\n\n"
THINGS = ["lamp", "desk", "rug", "chair", "vase", "stool", "bench", "shelf"]


def test_what_many_prompts_share_makes_no_contradiction_and_hides_none() -> None:
    rows = [row(f"r{n}", f"{INSTRUCTION}I send the {thing} back", "returns") for n, thing in enumerate(THINGS)]
    rows += [row(f"s{n}", f"{INSTRUCTION}My {thing} has not come", "shipping") for n, thing in enumerate(THINGS)]
    late = f"{INSTRUCTION}My green sofa has not come and nobody of you answers the phone at all"
    rows += [row("a", late, "shipping"), row("b", late + " please", "billing")]
    assert set(held(run(rows, AnswerSettings(), "classification"))) == {"a", "b"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 12 lamps", "order 40 lamps"),
        ("stay in Leeds", "stay in York"),
        ("buy the lamp", "not buy the lamp"),
    ],
)
def test_another_number_name_or_negation_may_have_another_label(one: str, other: str) -> None:
    text = "I would like to {} this week and want to know what it costs and when you open, if you can tell me"
    rows = [row("a", text.format(one), "x"), row("b", text.format(other), "y")]
    assert run(rows, AnswerSettings(), "classification").kept.height == 2
    same = [row("a", text.format(one), "x"), row("b", text.format(one) + " now", "y")]
    assert set(held(run(same, AnswerSettings(), "classification"))) == {"a", "b"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("上个月买的书桌到现在都没有收到，请帮我查一下快递的情况。", "上个月买的书桌到现在都没有收到，请帮我查询一下快递的情况。"),
        ("先週注文した木の椅子がまだ届いていないので至急調べてください。", "先週注文した木の椅子がまだ届いていないので早めに調べてください。"),
        ("อยากทราบว่ารับซ่อมจักรยานคันเก่าที่โซ่ขาดและเบรกไม่ทำงานหรือไม่ช่วยแจ้งด้วย", "อยากทราบว่ารับซ่อมจักรยานคันเก่าที่โซ่ขาดและเบรกไม่ทำงานหรือไม่ช่วยบอกด้วย"),
    ],
)  # fmt: skip
def test_contradictions_are_seen_where_no_spaces_are_written(one: str, other: str) -> None:
    rows = [row("a", one, "x"), row("b", other, "y"), row("c", "发票抬头可以修改吗", "z")]
    assert set(held(run(rows, AnswerSettings(), "classification"))) == {"a", "b"}


def test_preferences_contradict_when_the_same_two_answers_are_preferred_both_ways() -> None:
    rows = [
        preferred("a", "On its way.", "No idea."),
        preferred("b", "no idea.", "On its  way.", PARCEL + " please"),
        preferred("c", "On its way.", "Call us."),
        preferred("d", "Call us.", "No idea."),
    ]
    found = held(run(rows, AnswerSettings(), "preference"))
    assert {row_id: about["partner"] for row_id, about in found.items()} == {"a": "b", "b": "a"}
    third = preferred("e", "On its way.", "no idea.", PARCEL.upper() + "!")
    assert set(held(run([*rows, third], AnswerSettings(), "preference"))) == {"b"}


def test_a_pair_that_prefers_an_answer_to_itself_teaches_nothing() -> None:
    outcome = run(
        [preferred("a", "On its way.", "on its way. "), preferred("b", "Yes", "No")], AnswerSettings(), "preference"
    )
    told = outcome.ledger.select("row_id", pl.col("action").cast(pl.String), "reason").rows()
    assert told == [("a", "quarantined", "chosen answer is the rejected one")]


def test_a_crowd_of_variants_votes_together_and_tells_true_similarities() -> None:
    text = (
        "dear {} your ticket is closed and if you think that this is wrong then please reply within {} days and we "
        "look again"
    )
    rows = [
        labelled(f"{i:05d}", text.format(f"w{i % 41}", f"n{i % 43}"), "refund" if i % 500 == 7 else "notice")
        for i in range(1700)
    ]
    found = held(run(rows, threshold=0.5))  # some 1.4 million pairs: too many to write out
    assert set(found) == {"00007", "00507", "01007", "01507"}
    prompts = {row["row_id"]: row["messages"][0]["content"] for row in rows}
    for row_id, about in found.items():
        assert about["jaccard"] == round(jaccard(prompts[row_id], prompts[about["partner"]], 3), 4)
    assert run(rows[::-1], threshold=0.5).ledger.equals(run(rows, threshold=0.5).ledger)


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


@settings(max_examples=80)
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
