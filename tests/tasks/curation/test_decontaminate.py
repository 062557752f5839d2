"""decontaminate: what holds a judging row goes, in whatever form; what shares only what everybody writes stays."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
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
from tasks.curation.decontaminate import DecontaminateSettings, decontaminate
from tasks.metrics.answer_schema import AnswerSettings
from tasks.similarity import contamination, heldout_ngrams

PARCEL = "my parcel was due on monday and it still has not come what can you do about it"
REFUND = "we have sent the twelve euros back to the card that you paid with last tuesday"
FRAME = "You help the customers of a shop. Read the message, think, and answer it in two sentences at most. Message: "
SIGNED = "\nSent from my phone. This message is meant only for the person it is addressed to and may be confidential."
CANNED = "Thank you for writing to us. A colleague will look into it and get back to you within two working days."
WORDS = [a + b + c for a in "bdfgklmn" for b in "aeiou" for c in ("ra", "sta", "lin", "mo", "ke", "tor", "vel", "du")]
Row = dict[str, Any]


def row(row_id: str, prompt: str, answer: str = "fine", rejected: str | None = None, **more: Any) -> Row:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {
        "row_id": row_id,
        "source": "a.jsonl",
        "line": 1,
        "messages": messages,
        "rejected": rejected,
        "meta": "{}",
    } | more


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


def said(seed: int, words: int = 18) -> str:
    """A text that shares no three words in a row with any other, but by chance of one in millions."""
    return " ".join(Random(seed).choices(WORDS, k=words))


def run(rows: Sequence[Row], holdout: Sequence[Row], kind: str = "sft", **more: Any) -> Outcome:
    named = {"kind": KINDS[kind], "settings": DecontaminateSettings()} | more
    outcome = decontaminate(frame(rows), holdout=frame(holdout), **named)
    check_balance("decontaminate", frame(rows), outcome)
    return outcome


def told(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {
        row_id: json.loads(evidence) for row_id, evidence in outcome.ledger.select("row_id", "evidence").iter_rows()
    }


def others(n: int, before: str = "", after: str = "", answer: str = "") -> list[Row]:
    return [row(f"other{i}", before + said(1000 + i) + after, answer or said(5000 + i, 30)) for i in range(n)]


CHANGED = PARCEL.replace("still", "surely")
# form: (training row, of, in, coverage, shared, jaccard or None)
LEAKS: dict[str, tuple[Row, str, str, float, int, float | None]] = {
    "the same": (row("t", PARCEL.upper() + "  "), "prompt", "prompt", 1.0, 16, 1.0),
    "a word more": (row("t", PARCEL + " please"), "prompt", "prompt", 1.0, 16, 0.9412),
    "inside a longer prompt": (row("t", f"{said(1)}. {PARCEL} {said(2)}"), "prompt", "prompt", 1.0, 16, None),
    "inside, a word changed": (row("t", f"{said(1)}. {CHANGED} {said(2)}"), "prompt", "prompt", 0.8125, 13, None),
    "the most of it": (row("t", " ".join(PARCEL.split()[7:])), "prompt", "prompt", 0.5625, 9, None),
    "in an answer": (row("t", said(1), f"For example: {PARCEL}"), "prompt", "answer", 1.0, 16, None),
    "its answer in an answer": (row("t", said(1), f"Sure! {REFUND.upper()}. Bye"), "answer", "answer", 1.0, 14, None),
    "its answer rejected": (row("t", said(1), said(2), f"Well, {REFUND}"), "answer", "rejected", 1.0, 14, None),
}


@pytest.mark.parametrize("form", LEAKS)
def test_a_leak_goes_and_says_where_it_was_found(form: str) -> None:
    leak, of, part, coverage, shared, jaccard = LEAKS[form]
    judge = row("judge", PARCEL, REFUND, source="h.jsonl", line=7)
    outcome = run([*others(5), leak], [row("else", said(3)), judge], "preference" if leak["rejected"] else "sft")
    where = {"match": "judge", "source": "h.jsonl", "line": 7, "of": of, "in": part}
    numbers = {"coverage": coverage, "shared": shared} | ({"jaccard": jaccard} if jaccard else {})
    assert told(outcome) == {"t": where | numbers}
    assert outcome.ledger["reason"].to_list() == ["also in the holdout"]


MISSES: dict[str, tuple[Row, Row, list[Row]]] = {
    "a frame that many rows have": (
        row("t", FRAME + said(1, 9)),
        row("j", FRAME + said(2, 9)),
        others(30, before=FRAME),
    ),
    "a frame that only judging rows have": (row("t", FRAME + said(1, 9)), row("j", FRAME + said(2, 9)), others(5)),
    "a signature": (row("t", said(1, 6) + SIGNED), row("j", said(2, 6) + SIGNED), others(30, after=SIGNED)),
    "a judging row that is only a signature": (row("t", said(1) + SIGNED), row("j", SIGNED), others(30, after=SIGNED)),
    "a canned answer": (row("t", said(1), CANNED), row("j", said(2), CANNED), others(30, answer=CANNED)),
    "a short text": (row("t", f"{said(1)} where is my parcel {said(2)}"), row("j", "where is my parcel"), others(5)),
    "a label": (row("t", said(1), "order_status"), row("j", said(2), "order_status"), others(5)),
    "an answer that the prompt quotes": (row("t", f"translate: {REFUND}"), row("j", said(2), REFUND), others(5)),
    "a few words": (row("t", f"{said(1)} it still has not come {said(2)}"), row("j", PARCEL), others(5)),
    "its words far apart": (
        row("t", " ".join(f"{said(n, 40)} {' '.join(PARCEL.split()[3 * n : 3 * n + 5])}" for n in range(6))),
        row("j", PARCEL),
        others(5),
    ),
}


@pytest.mark.parametrize("form", MISSES)
def test_what_everybody_writes_is_no_leak(form: str) -> None:
    near, judge, rest = MISSES[form]
    framed = [row(f"j{i}", FRAME + said(8000 + i, 9)) for i in range(15)] if "only judging" in form else []
    outcome = run([*rest, near], [judge, *framed])
    assert outcome.kept.height == len(rest) + 1, told(outcome)


def test_a_short_prompt_is_found_without_its_frame_or_signature_and_word_for_word_in_another() -> None:
    question = "why was my blue lamp sent to Leeds"
    for rest, judge in ((others(30, before=FRAME), FRAME + question), (others(30, after=SIGNED), question + SIGNED)):
        assert list(told(run([*rest, row("t", question)], [row("j", judge)]))) == ["t"]
        assert list(told(run([*rest, row("t", f"{said(1)} {question} {said(2)}")], [row("j", question)]))) == ["t"]
        assert told(run([*rest, row("t", question.replace("blue lamp", "chair"))], [row("j", judge)])) == {}


def test_a_prompt_that_leaked_twenty_times_among_two_thousand_is_no_phrase_of_the_trade() -> None:
    leaks = [row(f"t{i}", f"{said(i, 4)} {PARCEL} {said(100 + i, 4)}") for i in range(20)]
    assert len(told(run([*others(2000), *leaks], [row("j", PARCEL)]))) == 20


def test_of_answers_that_are_json_the_free_text_counts() -> None:
    answer = AnswerSettings(label="intent", graded=("intent", "urgency"), json_schema={"type": "object"})

    def triage(reply: str, **fields: Any) -> str:
        usual = {
            "intent": "a_very_long_name",
            "urgency": "high",
            "one": 1,
            "two": None,
            "three": [],
            "four": {},
            "five": True,
        }
        return json.dumps({**usual, **fields, "reply": reply})

    form, leak = row("t", said(1), triage("Yes.")), row("u", said(2), triage(f"Hello.\n{REFUND}", intent="other"))
    heldout = [row("j", said(3), triage("Yes.")), row("k", said(4), triage(REFUND))]
    assert list(told(run([*others(5), form, leak], heldout, answer=answer))) == ["u"]


def test_answers_of_a_classification_row_are_labels() -> None:
    assert told(run([*others(5), row("t", said(1), REFUND)], [row("j", said(2), REFUND)], "classification")) == {}


def test_earlier_answers_of_a_conversation_count() -> None:
    turns = [("user", said(1)), ("assistant", REFUND), ("user", said(2)), ("assistant", "ok")]
    leak = {**row("t", ""), "messages": [{"role": role, "content": text} for role, text in turns]}
    assert told(run([*others(5), leak], [row("j", said(3), REFUND)]))["t"]["in"] == "answer"


def test_the_system_message_does_not_hide_a_leak() -> None:
    leak = row("t", PARCEL)
    leak["messages"] = [{"role": "system", "content": "Be kind."}, *leak["messages"]]
    assert list(told(run([*others(5), leak], [row("j", PARCEL)]))) == ["t"]


def test_the_holdout_is_told_before_the_edge_cases_and_these_before_a_benchmark() -> None:
    texts = [said(n) for n in range(3)]
    rows = [row(f"t{n}", text) for n, text in enumerate(texts)]
    sets = [frame([row(f"j{k}{n}", texts[n], source=f"{k}.jsonl") for n in range(k, 3)]) for k in range(3)]
    outcome = decontaminate(
        frame([*others(3), *rows]), DecontaminateSettings(), holdout=sets[2], edge_cases=sets[1], benchmarks=sets[0]
    )
    assert outcome.ledger.select("row_id", "reason").rows() == [
        ("t0", "also in a benchmark"),
        ("t1", "also in the edge cases"),
        ("t2", "also in the holdout"),
    ]
    assert [told(outcome)[f"t{n}"]["source"] for n in range(3)] == ["0.jsonl", "1.jsonl", "2.jsonl"]


def test_training_on_the_holdout_itself_is_an_error() -> None:
    with pytest.raises(DataError, match=r"(?s)all 5 rows are also in the holdout.*same file"):
        run(others(5), others(5))


TEAM = "You read tickets of a shop. Say in one word which team takes the ticket, billing or shipping. Ticket: "


def test_an_instruction_that_a_few_rows_share_is_no_leak_in_a_small_set_either() -> None:
    asked = ["the invoice has a wrong street", "a parcel is late", "i was charged twice for a rug", "the box is wet"]
    judges = [
        row(f"j{n}", TEAM + text)
        for n, text in enumerate(("money was taken", "the box never came", "it broke on the way"))
    ]
    rows = [
        row(f"t{n}", TEAM + text) for n, text in enumerate([*asked, "the box never came", "it broke on the way, help"])
    ]
    assert set(told(run(rows, judges))) == {"t4", "t5"}


def test_a_question_that_leaked_into_a_few_rows_is_no_instruction() -> None:
    rows = [row(f"t{n}", f"{said(n, 5)} {PARCEL} {said(100 + n, 5)}") for n in range(6)]
    for judge in (PARCEL, f"Hello, {PARCEL}. Thanks!"):
        assert len(told(run([*others(40), *rows], [row("j", judge)]))) == 6


ROLLS = "A baker makes 24 rolls each hour and sells 18 of them at 2 euros each. What does he earn in a day of 8 hours"


@pytest.mark.parametrize(
    ("judge", "text"),
    [
        (ROLLS, ROLLS.replace("18", "15")),
        (f"{PARCEL} and do not call me", f"{PARCEL} and do call me"),
        (f"I live in York and {PARCEL}", f"I live in Leeds and {PARCEL}"),
        (f"{said(1, 40)} is the shop open on sunday", f"{said(1, 40)} where do you sell old lamps"),
    ],
)
def test_a_prompt_that_is_told_apart_and_answered_otherwise_is_another_row(judge: str, text: str) -> None:
    assert told(run([*others(5), row("t", text, "240")], [row("j", judge, "288")])) == {}
    assert list(told(run([*others(5), row("t", text, "288")], [row("j", judge, "288.")]))) == ["t"]
    assert list(told(run([*others(5), row("t", judge, "240")], [row("j", judge, "288")]))) == ["t"]


@pytest.mark.parametrize(
    ("judge", "text"),
    [
        (
            "请问这款白色书桌的桌面高度是多少厘米，桌腿可以调节吗",
            "您好，请问这款白色书桌的桌面高度是多少厘米，桌腿可以调节吗，谢谢",
        ),
        (
            "この白い机の高さは何センチで脚は調節できますか",
            "こんにちは。この白い机の高さは何センチで、脚は調節できますか？",
        ),
        ("โต๊ะสีขาวตัวนี้สูงกี่เซนติเมตรและปรับขาได้หรือไม่", "สวัสดีค่ะ โต๊ะสีขาวตัวนี้สูงกี่เซนติเมตรและปรับขาได้หรือไม่คะ"),
    ],
)
def test_leaks_are_seen_where_no_spaces_are_written(judge: str, text: str) -> None:
    rows = [*others(5), row("t", text), row("u", "发票抬头可以修改吗，还有你们周末营业吗")]
    assert list(told(run(rows, [row("j", judge), row("k", "发票抬头可以修改吗")]))) == ["t"]


def test_the_ledger_holds_no_text() -> None:
    leaks = [leak | {"row_id": f"t{n}"} for n, (leak, *_) in enumerate(LEAKS.values())]
    ledger = run([*others(5), *leaks], [row("j", PARCEL, REFUND)], "preference").ledger
    assert ledger.height == len(LEAKS)
    assert not re.search(r"parcel|monday|euros|tuesday", ledger.write_json().lower())


def test_precision_and_recall_on_planted_leaks_and_near_misses() -> None:
    """Six forms under three dresses, a word changed in two of them; texts of 14 words and more."""
    draw = Random(7)
    rows, leaks, heldout = others(600, after=SIGNED), [], []
    rows += [row(f"framed{i}", FRAME + said(20_000 + i, 12), CANNED) for i in range(400)]
    for n in range(180):
        text, answer = said(30_000 + n, draw.randrange(14, 40)), said(40_000 + n, 25)
        words = text.split()
        edited = text.replace(words[len(words) // 2], "otherwise")
        forms = [
            text,
            edited + " thanks",
            f"{said(50_000 + n)} {text} {said(60_000 + n)}",
            f"{said(70_000 + n, 200)} {edited} {SIGNED}",
            " ".join(words[len(words) // 5 :]) + SIGNED,
            FRAME + said(80_000 + n),
        ]
        leaks.append(row(f"leak{n}", forms[n % 6], f"Sure. {answer}" if n % 6 == 5 else "fine"))
        heldout.append(row(f"judge{n}", [text, FRAME + text, text + SIGNED][n // 6 % 3], answer if n % 2 else CANNED))
    for n, other in enumerate(heldout):  # near misses: a third of a judging text; its frame, signature and answer alone
        third = " ".join(other["messages"][0]["content"].split()[:5])
        rows.append(row(f"third{n}", f"{third} {said(90_000 + n)}"))
        rows.append(row(f"form{n}", FRAME + said(95_000 + n, 3) + SIGNED, CANNED))
    gone = set(told(run([*rows, *leaks], heldout)))
    found = {row_id for row_id in gone if row_id.startswith("leak")}
    assert found == gone  # precision 1
    assert len(found) / len(leaks) >= 0.98  # what is missed has 14 words, one of them changed, in another dress


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.sampled_from("abcdefg"), max_size=14).map(" ".join), min_size=2, max_size=18),
    st.integers(1, 8),
    st.integers(0, 9),
)
def test_prompts_that_are_alike_go_and_no_order_or_partition_changes_it(
    texts: list[str], first: int, seed: int
) -> None:
    rows = [row(f"{n:02d}", text, text[::-1]) for n, text in enumerate(texts)]
    heldout, asked = rows[:first], [*rows[first:][:9], row("zz", said(1))]  # ten rows make no template
    once = run(asked, heldout)
    for one in asked:
        best = max(jaccard(one, other) for other in heldout)
        evidence = told(once).get(one["row_id"], {})
        assert evidence.get("jaccard", 0) == (round(best, 4) if best >= 0.7 else 0)
    Random(seed).shuffle(asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heldout_ngrams, "ROWS", 2)
        again = run(asked, heldout)
    assert again.ledger.equals(once.ledger)
    assert again.kept.sort("row_id").equals(once.kept.sort("row_id"))


def jaccard(one: Row, two: Row) -> float:
    texts = [r["messages"][0]["content"] for r in (one, two)]
    words = [text.split() for text in texts]
    a, b = ({tuple(w[i : i + 3]) for i in range(max(len(w) - 2, 1))} if w else set() for w in words)
    return float(texts[0] == texts[1] != "") or len(a & b) / max(len(a | b), 1)


def test_a_thousand_rows_like_each_of_a_hundred_judging_rows_meet_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "BUDGET", 1 << 14)  # pairs at a time: the rows are taken by halves, thrice
    text = said(1, 30)
    rows = [row(f"t{i:04d}", f"again {text} item {i % 100}") for i in range(1000)]
    gone = told(run([*others(3), *rows], [row(f"j{i:02d}", f"{text} item {i}") for i in range(100)]))
    assert {row_id: evidence["match"] for row_id, evidence in gone.items()} == {
        f"t{i:04d}": f"j{i % 100:02d}" for i in range(1000)
    }


def test_a_text_of_a_megabyte_is_looked_through_and_an_empty_one_is_nothing() -> None:
    long = row("long", " ".join(said(n, 1000) for n in range(150)) + " " + PARCEL)
    assert list(told(run([*others(3), long, row("empty", "", "")], [row("k", PARCEL), row("l", "", "")]))) == ["long"]
