"""Texts and numbers fit to print: nothing hidden, nothing lost, nothing narrower than it was measured."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tasks.core.text.display import (
    differences,
    duration,
    estimate,
    impersonal,
    number_of,
    percent,
    points,
    short,
    size,
    span,
    visible,
    words,
)

ANY = st.text(st.characters(), max_size=80)
LETTERS = st.text("ab <br>\n", max_size=60)


@given(ANY)
def test_no_character_of_a_visible_text_can_hide_or_turn_it_round(text: str):
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    assert not [c for c in visible(text) if unicodedata.category(c) in hidden and c not in "\n\t\u200c\u200d"]


def test_what_people_type_stays_as_it_is():
    text = "Ça va? 👩\u200d🚀 नमस्ते, می\u200cخواهم “so” – 3\u00a0€\n\tend"
    assert visible(text) == text
    assert visible("a\r\u202eb\u200b") == "a⟨CR⟩⟨U+202E⟩b⟨U+200B⟩"
    assert visible("\0" * 88) == "⟨U+0000 ×88⟩"


@given(LETTERS, LETTERS)
def test_the_marks_of_a_difference_change_no_character_of_either_text(before: str, after: str):
    for text, marked in zip((before, after), differences(before, after, 1000), strict=True):
        assert Markup(re.sub("</?(?:del|ins)>|↵", "", marked)).unescape() == text


def test_a_difference_far_into_long_texts_is_what_is_shown():
    left, right = differences("same " * 400 + "old", "same " * 400 + "new", 300)
    assert "<del>old</del>" in left
    assert "<ins>new</ins>" in right
    assert len(left) < 200
    assert left.startswith("… ")


def test_a_cut_text_says_how_long_it_was():
    assert short("a" * 1500, 10) == "aaaaaaaaaa … (1,500 characters in all)"
    assert short("short", 10) == "short"


def test_addresses_and_long_numbers_are_left_out_and_order_numbers_are_not():
    text = (
        "HP-48213 or 123456 of 2026-01-02: mail jo.b@mail.example.co.uk, +44 (0)20 7946-0958, card 4111 1111 1111 1111."
    )
    assert impersonal(text) == "HP-48213 or 123456 of 2026-01-02: mail [not shown], [not shown], card [not shown]."


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_interval_never_looks_narrower_than_it_is(one: float, other: float):
    low, high = sorted((one, other))
    shown = [float(end) for end in span(low, high)[1:-1].split(", ")]
    assert shown[0] <= 100 * low + 1e-6
    assert shown[1] >= 100 * high - 1e-6


def test_numbers_read_as_people_write_them():
    assert percent(0.9423) == "94.2\u00a0%"
    assert percent(None) == "—"
    assert (points(-0.004), points(0.519), points(-0.0001)) == ("−0.4", "+51.9", "+0.0")
    assert span(-0.0251, 0.03, sign=True) == "[−2.6, +3.0]"
    told = [estimate(minutes).replace("\u00a0", " ") for minutes in (0.4, 59.4, 59.6, 125)]
    assert told == ["< 1 min", "59 min", "1 h 00 min", "2 h 05 min"]
    assert [duration(s).replace("\u00a0", " ") for s in (8.24, 59.97, 270, 7500)] == [
        "8.2 s",
        "1 min 00 s",
        "4 min 30 s",
        "2 h 05 min",
    ]
    assert [size(n) for n in (950, 19_588_112, 2_500_000_000)] == ["950 bytes", "19.6 MB", "2.5 GB"]


def test_evidence_reads_as_words():
    votes = [{"label": "other", "votes": 2}, {"label": "refund", "votes": 1}]
    assert words(votes) == "label other, votes 2; label refund, votes 1"
    assert words("a" * 64) == "a" * 12
    assert words(0.83333) == "0.833"


@pytest.mark.parametrize(("number", "told"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (1204, "1,204 epochs")])
def test_one_is_no_plural(number: int, told: str) -> None:
    assert number_of(number, "epoch") == told
