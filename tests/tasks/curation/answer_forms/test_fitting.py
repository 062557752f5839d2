"""Fitting: other spellings of keys, labels and numbers become the schema's, and what could mean
something else stays.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.curation.answer_forms.fitting import KEY, SPELLING, TYPE, VALUE, fit, folded_label, only_match

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["order_status", "other", 7]},
        "count": {"type": "integer"},
        "open": {"type": "boolean"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"size": {"enum": ["small", "large"]}}}},
    },
}


@pytest.mark.parametrize(
    "label", ["Order Status", "order-status", "ORDER_STATUS", "orderStatus", " order  status ", "ｏrder status"]
)
def test_spellings_of_a_label_are_one(label: str) -> None:
    assert only_match(label, ["order_status", "other", 7]) == "order_status"


@pytest.mark.parametrize(
    ("one", "other"),
    [("A-", "A"), ("1-2", "12"), ("1 2", "1-2"), ("-1", "1"), ("C++", "C"), ("3.5", "35"), ("not spam", "spam")],
)
def test_signs_that_can_mean_something_make_another_label(one: str, other: str) -> None:
    assert folded_label(one) != folded_label(other)


def test_a_label_with_two_matches_has_none() -> None:
    assert only_match("A B", ["a_b", "ab"]) is None


def test_an_object_is_fitted_at_every_depth() -> None:
    value = {"Intent": "Other", "COUNT": "3", "open": "False", "items": [{"size": "LARGE"}, {"size": "huge"}]}
    want = {"intent": "other", "count": 3, "open": False, "items": [{"size": "large"}, {"size": "huge"}]}
    assert fit(value, SCHEMA, {}, {}) == (want, [KEY, SPELLING, TYPE])


def test_old_names_lead_to_new_ones_unless_the_new_one_is_taken() -> None:
    rename, values = {"topic": "intent"}, {"intent": {"tracking": "order_status"}}
    assert fit({"topic": "tracking"}, SCHEMA, rename, values) == ({"intent": "order_status"}, [KEY, VALUE])
    both = {"topic": "tracking", "intent": "other"}
    assert fit(both, SCHEMA, rename, values) == (both, [])


@given(
    st.dictionaries(
        st.sampled_from(["intent", "Intent", "count", "open", "x"]),
        st.sampled_from(["Other", "other", "7", "07", "true", 7, None]),
    )
)
def test_fitting_twice_is_fitting_once_and_loses_no_key(value: dict[str, Any]) -> None:
    once, _ = fit(value, SCHEMA, {}, {})
    assert fit(once, SCHEMA, {}, {}) == (once, [])
    assert len(once) == len(value)
