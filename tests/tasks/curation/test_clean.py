"""Clean: what wraps a message goes, what a person wrote stays, and cleaning twice changes nothing more."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.curation.clean import CleanSettings, _clean_messages, _rules, _suspect, clean

ANSWER = '{"intent": "order_status", "reply": "We are  checking \\u2013 with\\n> the warehouse.\\n-- \\nTom"}'


def rows(*conversations: list[tuple[str, str]]) -> pl.DataFrame:
    made = [
        {
            "row_id": f"{i:03}",
            "source": "x.jsonl",
            "line": i,
            "meta": "{}",
            "messages": [{"role": role, "content": content} for role, content in turns],
        }
        for i, turns in enumerate(conversations, 1)
    ]
    return pl.DataFrame(made, schema=ROW_SCHEMA)


def run(frame: pl.DataFrame, **chosen: bool) -> Outcome:
    outcome = clean(frame, CleanSettings(**chosen))
    check_balance("clean", frame, outcome)
    return outcome


def user(text: str, **chosen: bool) -> str:
    outcome = run(rows([("user", text), ("assistant", ANSWER)]), **chosen)
    assert outcome.kept["messages"][0][1]["content"] == ANSWER
    return str(outcome.kept["messages"][0][0]["content"])


QUOTE = "On Tue, 3 Mar 2026 at 12:32, Harbour & Pine <help@example.com> wrote:"
MENDED = {
    "mojibake": ("donâ€™t send the kettle to CafÃ© ZoÃ«", "don’t send the kettle to Café Zoë"),
    "control characters": ("Where\x00 is\x0b it", "Where is it"),
    "zero-width characters": ("\ufeffHP-\u200b48213 deli\u00advery", "HP-48213 delivery"),
    "line breaks": ("one\r\ntwo\rthree", "one\ntwo\nthree"),
    "blanks": ("  two  words \n\n\n\nnext\u00a0line\t", "two words\n\nnext line"),
    "paragraphs": ("<p>Hello,</p><p>it doesn&#39;t fit.<br>Thanks</p>", "Hello,\n\nit doesn't fit.\nThanks"),
    "a whole HTML mail": (
        '<html><head><style>p {color: red}</style></head><body><div class="x">Hi &amp; <b>bye</b></div>'
        "<script>go()</script></body></html>",
        "Hi & bye",
    ),
    "entities without tags": ("R&amp;D&nbsp;asks &lt;soon&gt;", "R&D asks <soon>"),
    "escaped twice": ("&lt;p&gt;Where is it&amp;#63;&lt;/p&gt;", "Where is it?"),
    "a quoted reply": (f"Still waiting.\n\n{QUOTE}\n> Hello,\n>\n> we looked\n", "Still waiting."),
    "a folded quote header": ("Yes.\n\nOn Tue, 3 Mar 2026 at 12:32, Jo\n<jo@example.com> wrote:\n> Is it?", "Yes."),
    "a quote without marks": (f"Still waiting.\n\n{QUOTE}\n\nHello,\nwe looked", "Still waiting."),
    "an answer below the quote": (f"{QUOTE}\n> Which size?\n\nSize M, please", "Size M, please"),
    "a sentence that begins like a quote header": (f"On Monday I ordered.\n{QUOTE}\n> Hi", "On Monday I ordered."),
    "a German quote": ("Nein.\n\nAm 03.03.2026 um 12:32 schrieb Jo Smith:\n> Geht das?", "Nein."),
    "a Dutch quote": ("Nee.\n\nOp di 3 mrt 2026 om 12:32 schreef Jo <jo@example.nl>:\n> Kan dat?", "Nee."),
    "an Outlook reply": ("No.\n\n-----Original Message-----\nFrom: Help\nHello", "No."),
    "Outlook's header alone": (
        "No.\n\nFrom: Help <h@example.com>\nSent: Tuesday\nTo: Jo\nSubject: Lamp\n\nHello",
        "No.",
    ),
    "a signature delimiter": ("It leaks.\n\n-- \nL. Whitfield\nWhitfield & Sons\n0161 496 0455", "It leaks."),
    "a device's line": ("It leaks.\nSent from my iPhone", "It leaks."),
    "delimiter and device": ("It leaks.\n-- \nJo Smith\nSent from my iPhone", "It leaks."),
    "a closing and a name": ("It leaks.\nBest wishes,\nHelen Okafor\n\nThink before you print.", "It leaks."),
    "a closing below a mention of a mail": (
        "Did you get my email?\n\nBest wishes,\nHelen Okafor",
        "Did you get my email?",
    ),
    "a closing below a header": (
        "Subject: my letter\nHello,\nit leaks.\nRegards\nJo",
        "Subject: my letter\nHello,\nit leaks.",
    ),
    "an image in a mail": ('<p>It leaks.</p><img src="https://example.com/logo.png">', "It leaks."),
    "HTML that speaks of HTML": ("<p>Your HTML mails are broken.</p><p>Jo</p>", "Your HTML mails are broken.\n\nJo"),
    "a German closing that begins like a greeting": ("Kam mein Brief an?\n\nLiebe Grüße\nAnna", "Kam mein Brief an?"),
    "a German closing": ("Es leckt.\n\nMit freundlichen Grüßen\nAnnika Brandt", "Es leckt."),
    "quote and signature, in HTML": (f"<p>It leaks.</p><p>Cheers,<br>Dan</p><p>{QUOTE}<br>&gt; Hello</p>", "It leaks."),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_is_not_the_message_goes(case: str) -> None:
    dirty, expected = MENDED[case]
    assert user(dirty) == expected


KEPT = {
    "inline markup in plain text": "one <b>two</b>\nthree",
    "a heart": "thanks <3 it works & I <3 it",
    "comparisons": "if a < b and c > d then x <b and y> z",
    "a generic type": "List<String> x = new ArrayList<>();",
    "an address in angle brackets": "write to <jo@example.com> or <EMAIL_1>",
    "markup asked about in code": "How do I close a `<div>` and a `</p>`? And what is `&amp;`?\n```\n<p>Hi</p>\n```",
    "XML that holds a title": "Which book is this? <books><title>Alice</title></books>",
    "an image that is asked about": 'Which bird is this?\n\n<img src="https://example.com/b.jpg" alt="b">',
    "a snippet that is asked about": "Edit the following HTML.\n\n<p>This is a paragraph</p>",
    "a mail to be summarized": "Summarize what this email says.\n\nHi there,\nthe job is yours.\n\nThanks,\nJohn",
    "a letter below its headers": "What kind of letter is it?\n\nSubject: Credit\nHello Jo,\nyou have won.\n\nRegards,\nMax",
    "a script that somebody typed": "<script>alert(1)</script>",
    "a query string": "https://example.com/?a=1&copy=2&reg=3",
    "indented code": "def f(x):\n    if x:\n        return 1",
    "curly quotes and dashes": "“It’s late” – said she…",
    "full width": "你好，世界！ＡＢＣ　はい",
    "joined emoji": "👩\u200d🚒 می\u200cخواهم",
    "a list": "I need:\n- two lamps\n- a kettle\nWhen do they ship?",
    "thanks in the middle": "It is late.\nThanks, but I want my money back, not a voucher.",
    "thanks and a question": "Thanks\nWhere is my order?",
    "thanks as the whole message": "Many thanks\nConor",
    "a postscript": "It leaks.\nCheers,\nDan\n\nPS: order HP-48213",
    "a device's line as the whole message": "Sent from my iPhone",
    "a quote as the whole message": f"{QUOTE}\n> Hello",
    "a reported sentence": "On Monday your colleague wrote:\nwe send it today. It never came.",
    "a prompt": ">>> print(1)\n1",
    "a route": "Hi\n\nFrom: London\nTo: Paris\nDate: 3 May\n\nPlease book the train for me.",
    "headers in a fence": "How do I parse this?\n```\nFrom: a@x.example\nTo: b@x.example\nSubject: hi\n\nbody\n```\nThe subject.",
    "a question below the signature": (
        "Dear team,\n\nthe lamp broke.\n\nKind regards,\nAnna Berg\n\nWhen will you send a new one"
    ),
    "a comment between queries": "Explain this SQL:\nSELECT 1\n--\nSELECT 2",
    "a list that begins with thanks": "Which words are polite?\n\nThanks\nCheers\nSorry",
    "two sides": "Sort these:\nPros\n--\nCons",
    "a list of closings": "Translate:\n\nBest\nRegards\nLove",
    "blanks and mojibake in code": "What does it print?\n```python\nprint('a  b', 'cafÃ©')\tx\n\n\n\n```\nAnd `x  =  1`?",
    "a table in indented lines": "Why?\n\n    a  |  b\n    --\n    Tom",
    "two dashes in the middle": "First.\n--\n" + "\n".join(f"line {i}" for i in range(12)),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_a_person_wrote_stays(case: str) -> None:
    assert user(KEPT[case]) == KEPT[case]


def test_an_address_inside_html_is_not_taken_for_a_tag() -> None:
    assert user("<p>mail <jo@example.com>, I <3 you, 3 < 4</p>") == "mail <jo@example.com>, I <3 you, 3 < 4"


def test_other_turns_are_repaired_but_never_rewritten() -> None:
    system, answer = "Be <b>brief</b>.\n-- \nBoss", "<p>cafÃ©</p>\nCheers,\nDan"
    kept = run(rows([("system", system), ("user", "Hi"), ("assistant", f" {answer}\n")])).kept
    assert [m["content"] for m in kept["messages"][0]] == [system, "Hi", answer.replace("Ã©", "é")]


def test_a_message_that_was_only_markup_is_dropped_with_the_rule_that_emptied_it() -> None:
    outcome = run(rows([("user", "<p>&nbsp;</p>"), ("assistant", "ok")], [("user", " "), ("assistant", "ok")]))
    (told,) = outcome.ledger.filter(pl.col("action") == "dropped").iter_rows(named=True)
    assert (told["row_id"], told["reason"]) == ("001", "empty message after cleaning")
    assert json.loads(told["evidence"]) == {"rules": ["HTML"]}
    assert outcome.kept["row_id"].to_list() == ["002"]  # empty as it came: for filter to judge


def test_the_ledger_says_which_rules_changed_a_row() -> None:
    outcome = run(
        rows(
            [("user", "<p>Hi</p><div>--<br>Jo Hill</div>"), ("assistant", "ok")], [("user", "Hi"), ("assistant", "ok")]
        )
    )
    (told,) = outcome.ledger.iter_rows(named=True)
    assert (told["row_id"], told["action"], told["reason"]) == ("001", "changed", "text cleaned")
    assert json.loads(told["evidence"]) == {"rules": ["HTML", "signature"]}
    assert told["before"] != told["after"]


def test_a_rule_that_is_switched_off_leaves_its_matter_alone() -> None:
    texts = {"html": "<p>Hi</p>", "quoted_replies": f"Hi\n\n{QUOTE}\n> Hello", "signatures": "Hi\n\n-- \nJo"}
    for setting, text in texts.items():
        assert user(text) == "Hi"
        assert user(text, **{setting: False}) != "Hi"


PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<br>",
        "<b>",
        "</div>",
        "<li>",
        "</table><td>",
        "&lt;",
        "&gt;",
        "&amp;",
        "&nbsp;",
        "#39;",
        "<3",
        "< ",
        "<script>",
        "</script>",
        "<!--",
        "`",
        "```",
        ">",
        "\n",
        "\r\n",
        "\n\n",
        "  ",
        "\t",
        "\u00a0",
        "-- ",
        "--",
        "> ",
        "Cheers,",
        "Dan",
        "Sent from my iPhone",
        QUOTE,
        "-----Original Message-----",
        "On Monday",
        "wrote:",
        "Ã©",
        "â€™",
        "\u200b",
        "e\u0301",
    ]
)


@settings(max_examples=400)
@given(st.lists(PIECES | st.text(max_size=6), max_size=14).map("".join))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    frame = rows([("user", text), ("assistant", text)])
    once = run(frame)
    twice = run(once.kept)
    assert twice.kept.equals(once.kept)
    assert twice.ledger.is_empty()


FEW = st.lists(PIECES | st.sampled_from(["a word", " ", "\n", "\t"]), max_size=6).map("".join)


@given(FEW, st.sampled_from(["user", "assistant"]))
def test_what_no_rule_is_asked_about_no_rule_would_change(text: str, role: str) -> None:
    frame = rows([(role, text)])
    asked = frame.select(_suspect()).item()
    _, fired, _ = _clean_messages([{"role": role, "content": text}], _rules(CleanSettings()))
    assert asked or not fired


@pytest.mark.timeout(100)  # a quadratic pattern takes many minutes on these
def test_long_odd_texts_are_gone_through_like_any() -> None:
    repeated = (
        "<",
        "--\n",
        "Cheers,\nDan\n",
        "On x\n",
        f"{QUOTE}\n> x\ny\n",
        "On x\nwrote:\n",
        "<b>",
        "&lt;",
        "From: x\n",
    )
    odd = [piece * (100_000 // len(piece)) for piece in repeated] + [" " * 100_000 + "x", "&" + "amp;" * 20_000]
    run(rows(*([("user", text)] for text in odd)))


INDENTED = {
    "code": "    total = price * (1 + rate)\n    return round(total)",
    "a tab": "\tgo()\n\twait()",
    "a diff": "     keep = 1\n-    old = 2\n+    new = 2\n     end = 3",
    "a little, and others below": "  a: 1\n  b:\n    c: 2",
    "one line of code": "    return total",
}


@pytest.mark.parametrize("case", INDENTED)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_the_indentation_of_the_first_line_is_part_of_the_text(case: str, role: str) -> None:
    text = INDENTED[case]
    for around in (text, f"\n \n{text} \n\n"):
        messages, _, _ = _clean_messages([{"role": role, "content": around}], _rules(CleanSettings()))
        assert messages[0]["content"] == text
    messages, _, _ = _clean_messages([{"role": role, "content": " Where is it? "}], _rules(CleanSettings()))
    assert messages[0]["content"] == "Where is it?"


def test_line_breaks_are_of_one_kind_in_code_too() -> None:
    assert user("See:\r\n```\r\na  =  1\r\n```\r\nand\rmore") == "See:\n```\na  =  1\n```\nand\nmore"


@pytest.mark.parametrize("name", ["Tom", "L. Whitfield"])
def test_a_whole_delimiter_is_evidence_of_a_signature_with_any_name(name: str) -> None:
    assert user(f"It leaks.\n\n-- \n{name}") == "It leaks."


def test_a_rejected_answer_is_cleaned_as_the_chosen_one_is() -> None:
    pair = rows([("user", "Hi"), ("assistant", "Yes.")], [("user", "Ho"), ("assistant", "No.")])
    dirty = pair.with_columns(rejected=pl.Series(["Itâ€™s 90 â‚¬.\r\nSee you.\n", "<p>no  idea</p>"]))
    outcome = clean(dirty, CleanSettings())
    assert sorted(outcome.kept["rejected"]) == ["<p>no  idea</p>", "It’s 90 €.\nSee you."]
    assert outcome.ledger["action"].cast(pl.String).to_list() == ["changed"]
    check_balance("clean", dirty, outcome)
