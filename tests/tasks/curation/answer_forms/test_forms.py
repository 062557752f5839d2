"""Forms: what most answers look like is learned, from enough of them, and rare values are not called wrong."""

from __future__ import annotations

import json
import random

import polars as pl
import pytest

from tasks.curation.answer_forms.forms import Form, infer_form, shapes, spellings


def of(texts: list[str], majority: float = 0.8) -> Form:
    return infer_form(pl.Series(texts, dtype=pl.String), majority)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ('{"a": 1}', "object"),
        ("```json\n{'a': 1}\n```", "object"),
        ("Ideas:\n1. one\n2) two\n", "numbered list"),
        ("- one\n- two\nThat is all.", "bulleted list"),
        ("One. Two.\n\nThree.", "prose"),
        ("- one", "prose"),
        ("", "prose"),
        ("Year 1. was good\nYear 2. was not", "prose"),
        ("a {b} c", "prose"),
        ("{not closed", "prose"),
    ],
)
def test_a_text_has_the_shape_that_it_looks_like(text: str, shape: str) -> None:
    assert pl.DataFrame({"text": [text]}).select(shapes(pl.col("text"))).item() == shape


def test_a_schema_says_which_keys_are_in_all_objects_and_which_in_some() -> None:
    texts = [
        json.dumps({"b": i, "kind": ("buy", "Sell")[i % 2], **({"a": None} if i % 5 == 0 else {})}) for i in range(50)
    ]
    found = of([*texts, json.dumps({"b": 1, "kind": "sell", "stray": 1})])
    assert found.name == "object"
    assert found.schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["b", "kind"],
        "properties": {"b": {"type": "number"}, "kind": {"enum": ["Sell", "buy"]}, "a": {"type": "null"}},
    }


def test_objects_that_share_no_keys_need_only_be_objects() -> None:
    assert of([json.dumps({f"key {i}": 1}) for i in range(40)]).schema == {"type": "object"}


def test_labels_are_short_and_used_again_and_again() -> None:
    assert of(["yes", "no"] * 20).labels == {"yes", "no"}
    assert of([f"Answer {i}." for i in range(40)]).name == "prose"
    assert of(["yes", "no"] * 15 + [f"Well, {i}." for i in range(10)]).name == "prose"  # three quarters are no majority
    assert of(["yes", "no"] * 9).name == "any"  # too few


def test_a_rare_label_is_one_where_it_looks_like_the_others_and_is_no_slip() -> None:
    often = ["refund", "parcel", "invoice"] * 20
    rare = ["fraud", "fraud", "gift card", "gift card", "legal"]
    slips = ["refunds", "pacrel", "invoce", "refund.", "It is a refund", "a gift, I think", "a gift, I think"]
    assert of([*often, *rare, *slips]).labels == {"refund", "parcel", "invoice", "fraud", "giftcard", "legal"}
    assert "level3" in of(["level 1", "level 2"] * 20 + ["level 3"]).labels
    assert "yes." in of(["Yes.", "No."] * 20 + ["Maybe."]).labels


def test_a_rare_key_and_a_rare_null_may_be_in_objects() -> None:
    plain = [json.dumps({"order": i, "note": f"n {i}"}) for i in range(400)]
    odd = ['{"order": 1, "note": "x", "voucher": "A1"}', '{"order": 2, "note": "y", "voucher": "B2"}']
    nulls = ['{"order": 3, "note": null}', '{"order": 4, "note": null}']
    properties = of([*plain, *odd, *nulls, '{"order": 5, "note": "z", "stray": 1}']).schema["properties"]
    assert properties == {
        "order": {"type": "number"},
        "note": {"type": ["null", "string"]},
        "voucher": {"type": "string"},
    }


def test_a_majority_is_what_the_recipe_calls_one() -> None:
    texts = [json.dumps({"a": i}) for i in range(30)] + [f"Prose {i}." for i in range(10)]
    assert of(texts).name == "any"
    assert of(texts, 0.7).name == "object"


def test_the_order_of_texts_is_of_no_account() -> None:
    texts = [json.dumps({("size", "Size")[i % 3 == 0]: i, "kind": ("buy", "Buy")[i % 2]}) for i in range(60)]
    shuffled = random.Random(1).sample(texts, len(texts))
    assert of(texts) == of(shuffled)
    assert of(texts).schema["properties"]["kind"] == {"enum": ["Buy", "buy"]}  # both in use


def test_of_two_spellings_that_are_both_in_use_neither_is_a_slip() -> None:
    assert spellings([("bxc3", 12), ("Bxc3", 5), ("Byte", 6), ("byte", 6)]) == {}
    assert spellings([("returns", 200), ("Returns", 9), ("re-turns", 1)]) == {
        "Returns": "returns",
        "re-turns": "returns",
    }


def test_codes_of_one_or_two_letters_keep_their_case() -> None:
    assert spellings([("US", 5), ("us", 2), ("Spam", 1), ("spam", 3)]) == {"Spam": "spam"}
