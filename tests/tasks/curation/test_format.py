"""Format: what can be brought into the form without loss is, and what cannot is held back under its reason."""

from __future__ import annotations

import json
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.errors import RecipeError
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS, SFT
from tasks.curation.format import FormatSettings, format_answers, format_heldout
from tasks.metrics.answer_schema import AnswerSettings

SCHEMA = AnswerSettings(
    label="intent",
    json_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["intent", "reply"],
        "properties": {
            "intent": {"enum": ["order_status", "other"]},
            "reply": {"type": "string", "maxLength": 60},
            "count": {"type": "integer"},
            "urgent": {"type": "boolean"},
            "price": {"type": "number"},
        },
    },
)
FREE = AnswerSettings()
GOOD = '{"intent": "order_status", "reply": "We look – with \\"care\\"."}'
Turns = list[tuple[str, str]]


def frame(*conversations: Turns, rejected: str | None = None) -> pl.DataFrame:
    made = [
        {
            "row_id": f"{i:04}",
            "source": "x.jsonl",
            "line": i,
            "meta": "{}",
            "rejected": rejected,
            "messages": [{"role": role, "content": content} for role, content in turns],
        }
        for i, turns in enumerate(conversations, 1)
    ]
    return pl.DataFrame(made, schema=ROW_SCHEMA)


def run(
    *conversations: Turns,
    answer: AnswerSettings = SCHEMA,
    kind: str = "sft",
    rejected: str | None = None,
    **chosen: Any,
) -> Outcome:
    rows = frame(*conversations, rejected=rejected)
    outcome = format_answers(rows, FormatSettings(**chosen), KINDS[kind], answer)
    check_balance("format", rows, outcome)
    return outcome


def answered(text: str, question: str = "Where is it?") -> Turns:
    return [("user", question), ("assistant", text)]


def last(outcome: Outcome, row: int = 0) -> str:
    return str(outcome.kept["messages"][row][-1]["content"])


def rules(outcome: Outcome) -> list[str]:
    (told,) = outcome.ledger.iter_rows(named=True)
    assert (told["action"], told["reason"]) == ("changed", "answer rewritten")
    assert told["before"] != told["after"]
    return list(json.loads(told["evidence"])["rules"])


# ---------------------------------------------------------------- a schema that the recipe states

VIOLATIONS: dict[str, tuple[Turns, str, Any]] = {
    "prose": (answered("Hi, we look."), "answer is not JSON", {"message": 2, "characters": 12}),
    "the old format": (answered("INTENT: other | REPLY: x"), "answer is not JSON", None),
    "prose after the object": (answered(GOOD + " Best, Tom"), "answer is not JSON", None),
    "words before a fence": (answered(f"Here it is:\n```json\n{GOOD}\n```"), "answer is not JSON", None),
    "a list": (answered("[1]"), "answer is not JSON", None),
    "half of an escaped pair": (answered('{"intent": "other", "reply": "\\ud83d"}'), "answer is not JSON", None),
    "a dict with a comment": (answered("{'intent': 'other', 'reply': 'x'}  # sure?"), "answer is not JSON", None),
    "a doubled quote": (answered("{'intent': 'other', 'reply': 'We can''t.'}"), "answer is not JSON", None),
    "a call": (answered("{'intent': 'other', 'reply': str(1)}"), "answer is not JSON", None),
    "infinity": (answered('{"intent": "other", "reply": "x", "price": 1e999}'), "answer is not JSON", None),
    "cut off in a text": (answered(GOOD[:40]), "answer is cut off", {"message": 2, "characters": 40}),
    "cut off before the last brace": (answered(GOOD[:-1]), "answer is cut off", None),
    "cut off inside an object": (answered('{"a": {"b": 1}'), "answer is cut off", None),
    "cut off in a fence": (answered("```json\n" + GOOD[:40]), "answer is cut off", None),
    "a key that comes twice": (
        answered('{"intent": "other", "reply": "x", "reply": "y"}'),
        "answer breaks the schema",
        {"message": 2, "rule": "a key comes twice"},
    ),
    "an unknown label": (
        answered('{"intent": "shipping", "reply": "x"}'),
        "answer breaks the schema",
        {"message": 2, "rule": "intent: 'shipping' is not one of ['order_status', 'other']"},
    ),
    "a missing field": (answered('{"intent": "other"}'), "answer breaks the schema", None),
    "a text that is too long": (
        answered(json.dumps({"intent": "other", "reply": "Dear Jo Smith, " * 10})),
        "answer breaks the schema",
        {"message": 2, "rule": "reply: maxLength 60, got str"},
    ),
    "two keys for one field": (
        answered('{"intent": "other", "Reply": "x", "REPLY": "y"}'),
        "answer breaks the schema",
        None,
    ),
    "a bad answer in a later turn": (
        [*answered(GOOD), *answered("Just prose")],
        "answer is not JSON",
        {"message": 4, "characters": 10},
    ),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_what_cannot_be_converted_is_held_back_under_its_reason(case: str) -> None:
    turns, reason, evidence = VIOLATIONS[case]
    outcome = run(turns, answered(GOOD))
    (told,) = outcome.ledger.iter_rows(named=True)
    assert (told["row_id"], told["step"], told["action"], told["reason"]) == ("0001", "format", "quarantined", reason)
    assert evidence is None or json.loads(told["evidence"]) == evidence
    assert outcome.kept["row_id"].to_list() == ["0002"]


def test_every_cut_of_a_good_answer_is_seen_as_cut_off() -> None:
    outcome = run(*(answered(GOOD[:end]) for end in range(1, len(GOOD))))
    assert outcome.ledger["reason"].unique().to_list() == ["answer is cut off"]
    assert outcome.kept.is_empty()


CONVERTED = {
    "standard JSON form": '{ "reply":"caf\\u00e9",\n"intent" : "other" }',
    "code fence": '```json\n{"intent": "other", "reply": "café"}\n```',
    "trailing comma": '{"intent": "other", "reply": "café",\n}',
    "Python dict": "{'intent': 'other', 'reply': \"café\"}",
    "key renamed": '{"Intent": "other", "reply": "café"}',
    "spelling": '{"intent": "Other", "reply": "café"}',
}


@pytest.mark.parametrize("rule", CONVERTED)
def test_what_loses_nothing_is_converted_and_told(rule: str) -> None:
    outcome = run(answered(CONVERTED[rule]))
    assert last(outcome) == '{"intent": "other", "reply": "café"}'
    assert rules(outcome) == [rule]


def test_several_slips_in_one_answer_are_all_mended_and_told() -> None:
    outcome = run(
        answered("```\n{'INTENT': 'Order Status', 'reply': 'It\\'s \"here\".', 'urgent': True, 'count': '3',}\n```")
    )
    assert json.loads(last(outcome)) == {"intent": "order_status", "reply": 'It\'s "here".', "count": 3, "urgent": True}
    assert rules(outcome) == ["code fence", "Python dict", "key renamed", "spelling", "type"]


@pytest.mark.parametrize("text", ['"count": "03"', '"count": "3.0"', '"urgent": "yes"', '"price": "1.50"'])
def test_a_text_that_is_not_just_a_number_in_quotes_is_not_made_one(text: str) -> None:
    outcome = run(answered(f'{{"intent": "other", "reply": "x", {text}}}'))
    assert outcome.ledger["reason"].to_list() == ["answer breaks the schema"]


def test_a_spelling_that_two_labels_could_mean_is_not_chosen_between() -> None:
    answer = AnswerSettings(json_schema={"type": "object", "properties": {"size": {"enum": ["A-", "a", "1-2", "12"]}}})
    outcome = run(*(answered(json.dumps({"size": size})) for size in ("A", "a-", "1 2")), answer=answer)
    assert outcome.kept["messages"].list.last().struct.field("content").to_list() == ['{"size": "a"}', '{"size": "A-"}']
    assert outcome.ledger.filter(action="quarantined")["row_id"].to_list() == ["0003"]


def test_a_number_with_more_digits_than_a_float_holds_stays_as_it_is_written() -> None:
    text = '{"price": 0.12345678901234567890, "intent": "other", "reply": "x"}'
    outcome = run(answered(text))
    assert last(outcome) == text
    assert outcome.ledger.is_empty()


def test_the_recipe_names_old_keys_values_and_formats() -> None:
    chosen = {
        "rename": {"category": "intent", "text": "reply"},
        "values": {"intent": {"tracking": "order_status"}},
        "templates": ("CATEGORY: {category} | REPLY: {reply}",),
    }
    outcome = run(
        answered('{"category": "tracking", "text": "x"}'),
        answered("CATEGORY: tracking | REPLY: We look: a | b."),
        answered("CATEGORY: a | REPLY: b | REPLY: c"),
        **chosen,
    )
    assert last(outcome, 0) == '{"intent": "order_status", "reply": "x"}'
    assert last(outcome, 1) == '{"intent": "order_status", "reply": "We look: a | b."}'
    told = {row["row_id"]: row for row in outcome.ledger.iter_rows(named=True)}
    assert json.loads(told["0001"]["evidence"])["rules"] == ["key renamed", "value renamed"]
    assert json.loads(told["0002"]["evidence"])["rules"] == ["template", "key renamed", "value renamed"]
    assert told["0003"]["reason"] == "answer is not JSON"  # it can be read in two ways


def test_settings_that_name_what_answers_do_not_have_are_refused() -> None:
    for chosen, where in (
        ({"rename": {"a": "intend"}}, "format.rename"),
        ({"values": {"intent": {"a": "ordr_status"}}}, "format.values.intent"),
        ({"templates": ("A: {a}",)}, "format.templates"),
    ):
        with pytest.raises(RecipeError, match=where):
            run(answered(GOOD), **chosen)
    for wrong in ({"templates": ("no field",)}, {"templates": ("{a}{b}",)}, {"rename": {"a": "b", "b": "c"}}):
        with pytest.raises(ValidationError):
            FormatSettings.model_validate(wrong)


def test_an_answer_that_does_not_teach_may_have_any_form() -> None:
    rows = frame([*answered("Just prose"), *answered(GOOD)]).with_columns(weights=pl.Series([[1.0, 0.0, 1.0, 1.0]]))
    assert format_answers(rows, FormatSettings(), SFT, SCHEMA).ledger.is_empty()


def test_what_becomes_of_deviating_rows_is_the_recipes_choice() -> None:
    turns = answered("Just prose")
    assert run(turns, policy="drop").ledger["action"].to_list() == ["dropped"]
    kept = run(turns, answered(CONVERTED["spelling"]), policy="keep")
    assert kept.kept.height == 2
    assert kept.ledger["action"].to_list() == ["changed"]


# ---------------------------------------------------------------- preference and classification


def test_a_rejected_answer_is_spelled_like_the_chosen_one_and_may_be_wrong() -> None:
    both = run(answered(GOOD), kind="preference", rejected='{"Reply":"x", "intent": "other"}')
    assert both.kept["rejected"].to_list() == ['{"intent": "other", "reply": "x"}']
    assert rules(both) == ["key renamed"]
    for wrong in ("Just prose", "{'intent': 'other'}", '{"intent": "shipping"}', GOOD[:30]):
        assert run(answered(GOOD), kind="preference", rejected=wrong).ledger.is_empty()


def test_labels_of_a_classification_get_their_usual_spelling_and_none_is_held_back() -> None:
    labels = (
        ["Order Status"] * 3
        + ["order_status"] * 2
        + ["orderStatus", "order  status", "rare", "A long label, used once"]
    )
    outcome = run(*(answered(label) for label in labels), answer=FREE, kind="classification")
    assert [last(outcome, i) for i in range(9)] == ["Order Status"] * 7 + ["rare", "A long label, used once"]
    assert outcome.ledger["action"].to_list() == ["changed"] * 4


@pytest.mark.parametrize(
    "pair", [("US", "us"), ("A", "A-"), ("1-2", "12"), ("grade 1", "grade 1.5"), ("spam", "not spam")]
)
def test_labels_that_may_differ_in_meaning_are_left_alone(pair: tuple[str, str]) -> None:
    outcome = run(*(answered(label) for label in pair * 3), answer=FREE, kind="classification")
    assert outcome.ledger.is_empty()


# ---------------------------------------------------------------- forms that are learned


def objects(count: int) -> list[Turns]:
    return [
        answered(
            json.dumps(
                {"intent": ("buy", "sell")[i % 2], "note": f"number {i}", **({"extra": i} if i % 4 == 0 else {})}
            )
        )
        for i in range(count)
    ]


def test_the_keys_of_most_objects_become_the_schema() -> None:
    odd = [
        "Just prose.",
        '{"intent": "buy"}',
        '{"intent": "buy", "note": "x", "stray": 1}',
        '{"intent": "buy", "note": 7}',
    ]
    outcome = run(*objects(60), *map(answered, odd), answered('{"Note": "x", "intent": "Buy"}'), answer=FREE)
    told = outcome.ledger.select("row_id", "action", "reason").rows()
    assert told == [
        ("0061", "quarantined", "answer is not JSON"),
        *((f"006{i}", "quarantined", "answer breaks the schema") for i in (2, 3, 4)),
        ("0065", "changed", "answer rewritten"),
    ]
    assert last(outcome, 60) == '{"intent": "buy", "note": "x"}'


def test_an_answer_among_labels_must_be_one() -> None:
    labels = [("positive", "negative", "neutral")[i % 3] for i in range(60)]
    outcome = run(*map(answered, [*labels, "Positive", "The review is positive, I think."]), answer=FREE)
    assert last(outcome, 60) == "positive"
    (lost,) = outcome.ledger.filter(action="quarantined").iter_rows(named=True)
    assert (lost["row_id"], lost["reason"]) == ("0062", "answer is none of the labels")


def test_among_numbered_lists_a_bulleted_one_stands_out() -> None:
    lists = [f"Here you are:\n1. number {i}\n2) another\n" for i in range(60)]
    outcome = run(*map(answered, [*lists, "- one\n- two"]), answer=FREE)
    (lost,) = outcome.ledger.iter_rows(named=True)
    assert json.loads(lost["evidence"]) == {
        "form": "bulleted list",
        "message": 2,
        "share": 0.9836,
        "usual": "numbered list",
    }


def test_among_prose_an_object_stands_out_unless_it_was_asked_for_and_lists_may_be_there() -> None:
    said = [f"This is answer number {i}." for i in range(150)]
    outcome = run(
        *map(answered, [*said, "1. one\n2. two", '{"intent": "other"}']),
        answered('{"a": 1}', "Write JSON with a."),
        answer=FREE,
    )
    assert outcome.ledger["row_id"].to_list() == ["0152"]


def test_data_without_a_clear_majority_keeps_all_its_forms() -> None:
    mixed = [text for i in range(40) for text in (f"This is {i}.", f"1. a {i}\n2. b", f'{{"a": {i}}}')]
    assert run(*map(answered, mixed), answer=FREE).ledger.is_empty()
    assert run(*objects(15), answered("Prose"), answer=FREE).ledger.is_empty()  # too few to tell


# ---------------------------------------------------------------- held-out rows


def heldout(*conversations: Turns, training: pl.DataFrame | None = None, **chosen: Any) -> Outcome:
    rows = frame(*conversations)
    outcome = format_heldout(rows, FormatSettings(**chosen), SFT, SCHEMA if training is None else FREE, training)
    check_balance("format", rows, outcome)
    assert outcome.kept["row_id"].equals(rows["row_id"])
    assert outcome.kept["weights"].equals(rows["weights"])
    return outcome


def test_an_expected_answer_is_brought_into_the_form_and_one_of_another_form_is_kept() -> None:
    old = {"templates": ("INTENT: {intent} | REPLY: {reply}",), "values": {"intent": {"lost": "other"}}}
    said = ["INTENT: lost | REPLY: café", *CONVERTED.values(), "Just prose."]
    outcome = heldout(*map(answered, said), **old)
    wanted = '{"intent": "other", "reply": "café"}'
    assert [last(outcome, row) for row in range(len(said))] == [wanted] * (len(said) - 1) + ["Just prose."]
    assert outcome.ledger["reason"].to_list() == ["answer rewritten"] * (len(said) - 1)


def test_what_a_heldout_row_asks_stays_to_the_letter() -> None:
    asked = [("user", " <b>Where?</b> "), ("assistant", "Do you mean {'intent'}?"), ("user", "Yes")]
    outcome = heldout([*asked, ("assistant", CONVERTED["spelling"])])
    turns = [(turn["role"], turn["content"]) for turn in outcome.kept["messages"][0]]
    assert turns == [*asked, ("assistant", '{"intent": "other", "reply": "café"}')]


def test_an_expected_label_is_spelled_as_the_training_rows_spell_it() -> None:
    texts = [("spam", "ham")[n % 2] for n in range(40)]
    training = run(*map(answered, texts), answer=FREE).kept
    outcome = heldout(
        *map(answered, ["Spam", "HAM"] * 40 + ["unsolicited", "Neither", "Well, who knows?"]), training=training
    )
    said = [last(outcome, row) for row in range(outcome.kept.height)]
    assert said == ["spam", "ham"] * 40 + ["unsolicited", "Neither", "Well, who knows?"]
    renamed = heldout(answered("unsolicited"), training=training, values={"label": {"unsolicited": "spam"}})
    assert last(renamed) == "spam"


# ---------------------------------------------------------------- properties

PARTS = st.sampled_from(
    [
        GOOD,
        GOOD[:30],
        *CONVERTED.values(),
        "Just prose.",
        "1. a\n2. b",
        '{"intent": "sell", "note": "x"}',
        "buy",
        "Buy",
        "sell",
        '{"intent": "buy", "note": "y"}',
        "{'intent': 'buy', 'note': 'z'}",
        '{"intent": "BUY", "note": 1}',
        '{"note": "y"}',
    ]
)
SETS = st.builds(
    lambda odd, usual, times: [*odd, *[usual] * times], st.lists(PARTS, max_size=12), PARTS, st.integers(0, 60)
)


@settings(max_examples=60)
@given(SETS, st.sampled_from(["sft", "preference", "classification"]), st.booleans())
def test_formatting_twice_is_formatting_once_and_the_order_of_rows_is_of_no_account(
    texts: list[str], kind: str, stated: bool
) -> None:
    rows = frame(*map(answered, texts), rejected=CONVERTED["spelling"] if kind == "preference" else None)
    given_ = (FormatSettings(), KINDS[kind], SCHEMA if stated else FREE)
    once = format_answers(rows, *given_)
    check_balance("format", rows, once)
    twice = format_answers(once.kept, *given_)
    assert twice.kept.equals(once.kept)
    assert twice.ledger.is_empty()
    order = random.Random(len(texts)).sample(range(rows.height), rows.height)
    other = format_answers(rows[order], *given_)
    assert other.kept.equals(once.kept)
    assert other.ledger.equals(once.ledger)
