"""JSON texts: what can be read in one way only is read, whatever wraps it, and what would lose something is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.curation.answer_forms.json_text import (
    COMMA,
    FENCE,
    PYTHON,
    TEMPLATE,
    DuplicateKeyError,
    canonical_json,
    check_template,
    is_cut_off,
    parse_object,
    same_json,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)


@given(OBJECTS)
def test_an_object_comes_back_from_json_from_a_fence_and_from_what_python_prints(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert parse_object(text) == (value, [])
    assert parse_object(f"```json\n{text}\n```") == (value, [FENCE])
    got, rules = parse_object(str(value))
    assert got == value if got is not None else "#" in str(value) or "\\" in str(value)  # an escape that JSON has not
    assert rules in ([], [PYTHON])


@given(OBJECTS)
def test_the_standard_form_says_the_same_and_is_its_own_standard_form(value: dict[str, Any]) -> None:
    text = canonical_json(value, ["b", "a"])
    assert same_json(json.dumps(value), text)
    again, _ = parse_object(text)
    assert again is not None
    assert canonical_json(again, ["b", "a"]) == text


@pytest.mark.parametrize(
    ("text", "value", "rules"),
    [
        ('{"a": [1, 2,], "b": ",}",}', {"a": [1, 2], "b": ",}"}, [COMMA]),
        (
            "{'a': (1, -2), 'b': true, 'c': None, \"d\": 'it\\'s'}",
            {"a": [1, -2], "b": True, "c": None, "d": "it's"},
            [PYTHON],
        ),
        ("```\n{'a': 1}\n```", {"a": 1}, [FENCE, PYTHON]),
    ],
)
def test_slips_are_read(text: str, value: dict[str, Any], rules: list[str]) -> None:
    assert parse_object(text) == (value, rules)


@pytest.mark.parametrize(
    "text",
    [
        "{'a': 'it''s'}",
        "{'a': 1}  # sure",
        "{'a': f(1)}",
        "{'a': 1 + 1}",
        "{1: 2}",
        "{'a', 'b'}",
        "{**{'a': 1}}",
        '{"a": 1e999}',
        "{'a': 1e999}",
        '{"a": "\\ud83d"}',
        "{'a': '\\ud83d'}",
        '{"a": NaN}',
        "{a: 1}",
        "[1]",
        "{'a': 'b\\/c'}",
        "{'a':" * 500,
    ],
)
def test_what_would_be_guessed_or_lost_is_not_read(text: str) -> None:
    assert parse_object(text) == (None, [])


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "{'a': 1, 'a': 1}", '{"b": {"a": 1, "a": 2}}'])
def test_a_key_that_comes_twice_is_told(text: str) -> None:
    with pytest.raises(DuplicateKeyError):
        parse_object(text)


FIELD = st.text(st.characters(codec="ascii", exclude_characters="|:"), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text
)


@given(FIELD, FIELD)
def test_a_template_is_read_back_as_it_was_filled_in(one: str, other: str) -> None:
    template = check_template("A: {a} | B: {b}")
    assert parse_object(template.format(a=one, b=other), [template]) == ({"a": one, "b": other}, [TEMPLATE])


def test_a_text_that_a_template_could_have_made_in_two_ways_is_not_read() -> None:
    assert parse_object("A: x | B: y | B: z", ["A: {a} | B: {b}"]) == (None, [])


@given(OBJECTS.filter(bool), st.data())
def test_every_cut_of_an_object_is_seen_as_cut_off_and_no_whole_one_is(
    value: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(value)
    assert not is_cut_off(text)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    assert is_cut_off(cut) or cut.endswith("}")  # a brace in a text: that may as well be a slip in the middle
    assert not is_cut_off(text + " Best, Tom")
