"""Redact: personal data becomes a stable placeholder, numbers that only look like it stay, and no original is left
behind.
"""

from __future__ import annotations

import json
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.curation.redact import RedactSettings, redact
from tasks.personal_data.finders import kinds_in


def rows(*conversations: list[str], meta: str = "{}", rejected: str | None = None) -> pl.DataFrame:
    """Conversations of alternating user and assistant turns."""
    made = [
        {
            "row_id": f"{i:03}",
            "source": "x.jsonl",
            "line": i,
            "meta": meta,
            "rejected": rejected,
            "weights": None,
            "messages": [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)],
        }
        for i, turns in enumerate(conversations, 1)
    ]
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
    "36 574 261 809": "<ID_1>",
    "AB123456C": "<ID_1>",
    "84.23.11.5": "<IP_1>",
    "AKIA" + "ABCDEFGHIJKLMNOP": "<SECRET_1>",
}


@pytest.mark.parametrize("value", FOUND)
def test_personal_data_becomes_a_placeholder(value: str) -> None:
    assert text(f"It is {value}, call me.") == f"It is {FOUND[value]}, call me."
    assert text(value) == FOUND[value]


@pytest.mark.parametrize(
    "value",
    [
        "HP-48213",
        "hp55471",
        "#46250",
        "HP-0791112345",
        "order 48213077",
        "4111 1111 1111 1112",
        "1234 5678 9012 3456",
        "GB82 WEST 1234 5698 7654 33",
        "2026-01-02 12:32",
        "24/01/2026 08:25",
        "01-02-2026 12:30",
        "12.05.2026",
        "01-02-26 12:30",
        "EUR 1,234,567.89",
        "a****@ and @home",
        "v1.2.3.4567890",
        "49.99 or 129.00",
        "20260528-1717",
        "3 for 2 on 10 lamps, 5 x 200 cm",
    ],
)
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


def test_a_bare_number_in_a_json_answer_becomes_a_text_of_it() -> None:
    answer = '{"call": true, "card": 4111111111111111, "all": [4111111111111111 ,5500000000000004], "sum": 12}'
    got = run(rows(["Hi", answer])).kept["messages"][0][1]["content"]
    assert json.loads(got) == {"call": True, "card": "<CARD_1>", "all": ["<CARD_1>", "<CARD_2>"], "sum": 12}
    assert text("[4111111111111111]") == '["<CARD_1>"]'
    assert text("[4111111111111111] is what I got") == "[<CARD_1>] is what I got"


def test_a_line_break_that_is_written_out_is_no_part_of_a_value() -> None:
    turns = ["I am jo@example.com, 07700 900461", '{"reply": "We write to:\\njo@example.com or call\\n07700 900461."}']
    got = run(rows(turns)).kept["messages"][0][1]["content"]
    assert json.loads(got) == {"reply": "We write to:\n<EMAIL_1> or call\n<PHONE_1>."}


def test_the_rejected_answer_shares_the_conversations_placeholders() -> None:
    row = rows(["I am jo@example.com", "Dear al@example.com"], rejected="Dear jo@example.com or bo@example.com").row(
        0, named=True
    )
    outcome = run(pl.DataFrame([row, {**row, "row_id": "002", "rejected": ""}], schema=ROW_SCHEMA))
    assert outcome.kept["rejected"].to_list() == ["Dear <EMAIL_1> or <EMAIL_3>", ""]
    (first, _second) = outcome.ledger.iter_rows(named=True)
    assert json.loads(first["evidence"]) == {"email": 4}
    assert first["before"] != first["after"]


def test_a_row_in_which_only_the_rejected_answer_holds_something_is_changed() -> None:
    outcome = run(rows(["Hi", "Hello"], rejected="Hello jo@example.com"))
    assert outcome.kept["rejected"].to_list() == ["Hello <EMAIL_1>"]
    assert outcome.ledger["action"].to_list() == ["changed"]


def test_a_label_is_read_like_every_answer() -> None:
    kept = run(rows(["Write to jo@example.com", "contact"])).kept
    assert [m["content"] for m in kept["messages"][0]] == ["Write to <EMAIL_1>", "contact"]


def test_meta_is_redacted_with_the_messages() -> None:
    meta = {
        "created": "2026-01-02",
        "from": {"mail": ["jo@example.com"]},
        "card": 4111111111111111,
        "f": 4111111111111111.0,
        "open": True,
        "x": 2.0,
    }
    got = json.loads(run(rows(["I am jo@example.com"], meta=json.dumps(meta))).kept["meta"][0])
    assert got == {**meta, "from": {"mail": ["<EMAIL_1>"]}, "card": "<CARD_1>", "f": "<CARD_1>"}


def test_names_in_meta_are_redacted_and_say_what_a_value_is() -> None:
    meta = {
        "jo@example.com": 3,
        "phone": 447911123456,
        "order": 447911123456,
        "password": "hunter2",
        "n": 1.5,
        "none": None,
    }
    got = json.loads(run(rows(["Hi"], meta=json.dumps(meta))).kept["meta"][0])
    assert got == {
        **{k: v for k, v in meta.items() if "@" not in k},
        "<EMAIL_1>": 3,
        "phone": "<PHONE_1>",
        "password": "<SECRET_1>",
    }


def test_meta_of_a_row_that_stays_is_left_byte_for_byte() -> None:
    meta = '{"b": 1,   "a": 1e3, "t": "2026-01-02T12:32:11Z", "id": 48213077}'
    assert run(rows(["jo@example.com"], meta=meta)).kept["meta"].to_list() == [meta]


def test_no_original_is_in_what_comes_out() -> None:
    secrets = list(FOUND)
    outcome = run(rows([" and ".join(secrets)], ["nothing here"]))
    everything = outcome.kept.write_json() + outcome.ledger.write_json()
    assert not [secret for secret in secrets if secret in everything]
    (told,) = outcome.ledger.iter_rows(named=True)
    assert json.loads(told["evidence"]) == {"card": 3, "email": 3, "iban": 2, "id": 2, "ip": 1, "phone": 7, "secret": 1}


def test_settings_choose_kinds_and_countries() -> None:
    mixed = "jo@example.com or 030 901820"
    assert text(mixed, RedactSettings(kinds=("email",))) == "<EMAIL_1> or 030 901820"
    assert text(mixed, RedactSettings(kinds=("phone",), phone_regions=("DE",))) == "jo@example.com or <PHONE_1>"
    assert text("06 12 34 56 78", RedactSettings(phone_regions=("FR",))) == "<PHONE_1>"
    assert text("44051401359, PESEL 44051401359", RedactSettings(id_countries=("PL",))) == "44051401359, PESEL <ID_1>"
    assert text("Ask Zoë Müller.", RedactSettings(names=("zoë müller",))) == "Ask <NAME_1>."
    assert text("10.1.2.33", RedactSettings(ip_addresses="all")) == "<IP_1>"
    assert text("(212) 736-5000", RedactSettings(phone_regions=("US",))) == "<PHONE_1>"
    with pytest.raises(ValidationError, match="not a country: UK"):
        RedactSettings(phone_regions=("UK",))


PIECES = st.sampled_from(
    [*FOUND, "HP-48213", "call", "\n", ",", "<EMAIL_3>", "\\n", "2026-01-02", "Jo Smith", '"', "12", "\\u00e9"]
)
CHOSEN = RedactSettings(names=("Jo Smith",))


@settings(max_examples=100)
@given(st.lists(PIECES, max_size=8).map(" ".join))
def test_redacting_twice_is_redacting_once(message: str) -> None:
    once = run(rows([message]), CHOSEN)
    twice = run(once.kept, CHOSEN)
    assert twice.kept.equals(once.kept)
    assert twice.ledger.is_empty()
    assert kinds_in(once.kept, CHOSEN).to_list() == [None]


@settings(max_examples=60)
@given(st.lists(st.tuples(PIECES, PIECES, PIECES, PIECES), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_neither_order_nor_partition_changes_a_row(drawn: list[tuple[str, ...]], shuffle: random.Random) -> None:
    frames = [
        rows([a, b], rejected=c, meta=json.dumps({"m": d})).with_columns(row_id=pl.lit(f"{i}"))
        for i, (a, b, c, d) in enumerate(drawn)
    ]
    together = run(pl.concat(frames), CHOSEN)
    shuffled = shuffle.sample(frames, len(frames))
    assert run(pl.concat(shuffled), CHOSEN).kept.equals(together.kept)
    alone = [run(frame, CHOSEN) for frame in frames]
    assert pl.concat([outcome.kept for outcome in alone]).sort("row_id").equals(together.kept)
    assert pl.concat([outcome.ledger for outcome in alone]).sort("row_id").equals(together.ledger)


PLANTED = [secret for secret in FOUND if secret.isascii()]


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(PLANTED), min_size=4, max_size=4),
    st.text(st.characters(exclude_categories=["Nd", "Cs"]), max_size=12),
)
def test_no_planted_original_is_left_anywhere(planted: list[str], around: str) -> None:
    told = [f"{around} \n It is {secret}, {around}" for secret in planted]
    outcome = run(rows(told[:2], rejected=told[2], meta=json.dumps({"a": {told[3]: [told[3]]}})))
    everything = squeezed(json.dumps([*outcome.kept.iter_rows(), *outcome.ledger.iter_rows()], default=str))
    assert not [secret for secret in planted if squeezed(secret) in everything]


def squeezed(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


@settings(max_examples=100)
@given(
    st.lists(
        st.text(st.characters(categories=["Lu", "Ll", "Zs", "Po"], exclude_characters="@＠%"), max_size=40),
        min_size=1,
        max_size=4,
    )
)
def test_texts_without_a_candidate_are_unchanged(turns: list[str]) -> None:
    frame = rows(turns)
    outcome = run(frame)
    assert outcome.kept.equals(frame)
    assert outcome.ledger.is_empty()


@pytest.mark.timeout(100)  # a quadratic pattern takes many minutes on these
def test_long_odd_texts_are_gone_through_like_any() -> None:
    many = [
        "a." * 50_000 + "@",
        "a@" * 50_000,
        "GB82 " * 10_000,
        "4 " * 30_000,
        "4111 " * 5_000,
        "1.2.3." * 20_000,
        "2001:" * 20_000,
    ]
    many += [
        "-----BEGIN PRIVATE KEY-----" * 3_000,
        "password: " * 10_000,
        "eyJ" + "a" * 100_000,
        "eyJa.eyJ" * 12_000,
        "sk-" * 30_000,
    ]
    frame = rows(*[[text] for text in many])
    run(frame)


def test_what_one_turn_calls_an_order_or_a_version_stays_in_every_turn() -> None:
    said = ["Where is order 07911123456? I run foo==84.23.11.5", "07911123456 comes today; 84.23.11.5 is old."]
    outcome = run(rows(said))
    assert [m["content"] for m in outcome.kept["messages"][0]] == said
    called = ["The IP is 5.9.14.78, ring 07911123456", "5.9.14.78 and 07911123456 are noted."]
    hidden = [m["content"] for m in run(rows(called)).kept["messages"][0]]
    assert hidden == ["The IP is <IP_1>, ring <PHONE_1>", "<IP_1> and <PHONE_1> are noted."]
