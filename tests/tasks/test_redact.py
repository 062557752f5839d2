"""Redact: personal data becomes a stable placeholder, numbers that only look like it stay, and no original is left behind."""

from __future__ import annotations

import json
import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.ledger import ROW_SCHEMA, Outcome, check_balance
from tasks.redact import RedactSettings, redact


def rows(*conversations: list[str], meta: str = "{}") -> pl.DataFrame:
    """Conversations of alternating user and assistant turns."""
    made = [
        {"row_id": f"{i:03}", "source": "x.jsonl", "line": i, "meta": meta,
         "messages": [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)]}
        for i, turns in enumerate(conversations, 1)
    ]  # fmt: skip
    return pl.DataFrame(made, schema=ROW_SCHEMA)


def run(frame: pl.DataFrame, chosen: RedactSettings | None = None) -> Outcome:
    outcome = redact(frame, chosen or RedactSettings())
    check_balance("redact", frame, outcome)
    return outcome


def text(message: str, chosen: RedactSettings | None = None) -> str:
    return str(run(rows([message]), chosen).kept["messages"][0][0]["content"])


FOUND = {
    "jo.smith81@example.com": "<EMAIL_1>",
    "jo+shop@mail.example.co.uk": "<EMAIL_1>",
    "josé@exämple.de": "<EMAIL_1>",
    "4111 1111 1111 1111": "<CARD_1>",
    "4012-8888-8888-1881": "<CARD_1>",
    "378282246310005": "<CARD_1>",
    "GB82 WEST 1234 5698 7654 32": "<IBAN_1>",
    "nl91abna0417164300": "<IBAN_1>",
    "+44 20 7946 0958": "<PHONE_1>",
    "+44 (0)20 7946 0958": "<PHONE_1>",
    "(020) 7946 0958": "<PHONE_1>",
    "07700 900461": "<PHONE_1>",
    "0161 496 0782": "<PHONE_1>",
    "+31 6 12345678": "<PHONE_1>",
    "0031 6 12345678": "<PHONE_1>",
}


@pytest.mark.parametrize("value", FOUND)
def test_personal_data_becomes_a_placeholder(value: str) -> None:
    assert text(f"It is {value}, call me.") == f"It is {FOUND[value]}, call me."
    assert text(value) == FOUND[value]


@pytest.mark.parametrize("value", [
    "HP-48213", "hp55471", "#46250", "HP-0791112345", "order 48213077", "4111 1111 1111 1112", "1234 5678 9012 3456",
    "GB82 WEST 1234 5698 7654 33", "2026-01-02 12:32", "24/01/2026 08:25", "01-02-2026 12:30", "12.05.2026", "01-02-26 12:30",
    "EUR 1,234,567.89", "a****@ and @home", "v1.2.3.4567890", "49.99 or 129.00", "20260528-1717",
    "3 for 2 on 10 lamps, 5 x 200 cm",
])  # fmt: skip
def test_what_only_looks_like_personal_data_stays(value: str) -> None:
    assert text(f"It says {value} here.") == f"It says {value} here."


def test_one_value_has_one_placeholder_in_all_its_spellings_and_turns() -> None:
    turns = ["I am Jo@example.com or 020 7946 0958.", "+44 20 7946 0958?", "Yes, or jo@EXAMPLE.com, or al@example.com."]
    got = [m["content"] for m in run(rows(turns)).kept["messages"][0]]
    assert got == ["I am <EMAIL_1> or <PHONE_1>.", "<PHONE_1>?", "Yes, or <EMAIL_1>, or <EMAIL_2>."]


def test_numbering_starts_anew_in_each_conversation() -> None:
    kept = run(rows(["a@example.com"], ["b@example.com"])).kept
    assert [m[0]["content"] for m in kept["messages"].to_list()] == ["<EMAIL_1>", "<EMAIL_1>"]


def test_a_placeholder_that_was_there_before_is_not_given_to_another_value() -> None:
    assert text("<EMAIL_1> wrote to b@example.com") == "<EMAIL_1> wrote to <EMAIL_2>"


def test_a_json_answer_stays_json() -> None:
    answer = '{"intent": "other", "reply": "We write to \\"jo@example.com\\"."}'
    got = run(rows(["Hi", answer])).kept["messages"][0][1]["content"]
    assert json.loads(got)["reply"] == 'We write to "<EMAIL_1>".'


def test_meta_is_redacted_with_the_messages() -> None:
    meta = {"created": "2026-01-02", "from": {"mail": ["jo@example.com"]}, "card": 4111111111111111, "open": True}
    got = json.loads(run(rows(["I am jo@example.com"], meta=json.dumps(meta))).kept["meta"][0])
    assert got == {**meta, "from": {"mail": ["<EMAIL_1>"]}, "card": "<CARD_1>"}


def test_no_original_is_in_what_comes_out() -> None:
    secrets = list(FOUND)
    outcome = run(rows([" and ".join(secrets)], ["nothing here"]))
    everything = outcome.kept.write_json() + outcome.ledger.write_json()
    assert not [secret for secret in secrets if secret in everything]
    (told,) = outcome.ledger.iter_rows(named=True)
    assert json.loads(told["evidence"]) == {"card": 3, "email": 3, "iban": 2, "phone": 7}


def test_settings_choose_kinds_and_countries() -> None:
    mixed = "jo@example.com or 030 901820"
    assert text(mixed, RedactSettings(kinds=("email",))) == "<EMAIL_1> or 030 901820"
    assert text(mixed, RedactSettings(kinds=("phone",), phone_regions=("DE",))) == "jo@example.com or <PHONE_1>"
    assert text("06 12 34 56 78", RedactSettings(phone_regions=("FR",))) == "<PHONE_1>"
    assert text("(212) 736-5000", RedactSettings(phone_regions=("US",))) == "<PHONE_1>"
    with pytest.raises(ValidationError, match="not a country: UK"):
        RedactSettings(phone_regions=("UK",))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*FOUND, "HP-48213", "call", "\n", ",", "<EMAIL_3>"]), max_size=8).map(" ".join))
def test_redacting_twice_is_redacting_once(message: str) -> None:
    once = run(rows([message]))
    twice = run(once.kept)
    assert twice.kept.equals(once.kept)
    assert twice.ledger.is_empty()


def test_long_odd_texts_take_no_longer_than_long_ones() -> None:
    frame = rows(["a." * 50_000 + "@"], ["a@" * 50_000], ["GB82 " * 20_000], ["4 " * 50_000])
    started = time.monotonic()
    run(frame)
    assert time.monotonic() - started < 10  # a quadratic pattern takes minutes on these
