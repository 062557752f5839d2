"""One message a row: conversations are put together where all is sure, else held row by row with the true reason."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tasks.core.ledger import Outcome, check_balance
from tasks.core.row_kind import KINDS
from tasks.curation.ingest import IngestSettings, find_sources, ingest
from tasks.data.sources import Source

HEAD = "Ticket ID,Author Role,Author,Body,Created At,Subject"
TABLE = [
    "17,end-user,Ann,Where is my tent?,2026-01-05 10:02,Tent",
    '18,customer,Bo,"The lamp flickers,\nall day.",2026-01-05 10:05,Lamp',
    "17,Agent,Cy,It left today.,2026-01-05 10:40,Tent",
    "17,end-user,Ann,Thanks,2026-01-05 10:41,Tent",
    "18,agent,Di,Send it back.,2026-01-05 11:05,Lamp",
    "17,Agent,Cy,Welcome.,2026-01-05 10:42,Tent",
]
TENT = [("user", "Where is my tent?"), ("assistant", "It left today."), ("user", "Thanks"), ("assistant", "Welcome.")]
LAMP = [("user", "The lamp flickers,\nall day."), ("assistant", "Send it back.")]


def read(folder: Path, kind: str = "sft", **files: str) -> Outcome:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    sources = [Source(path=name.replace("_", ".")) for name in files]
    outcome = ingest(find_sources(sources, folder), IngestSettings(), KINDS[kind])
    check_balance("ingest", None, outcome)
    return outcome


def table(rows: list[str], head: str = HEAD) -> str:
    return "\n".join([head, *rows]) + "\n"


def conversations(outcome: Outcome) -> list[list[tuple[str, str]]]:
    return [[(m["role"], m["content"]) for m in row] for row in outcome.kept.sort("source", "line")["messages"]]


def held(outcome: Outcome) -> list[tuple[int, str]]:
    gone = outcome.ledger.filter(outcome.ledger["action"].cast(str) == "quarantined")
    return sorted(gone.select("line", "reason").rows())


def test_rows_of_a_conversation_are_put_together_wherever_they_stand(tmp_path: Path) -> None:
    outcome = read(tmp_path, a_csv=table(TABLE))
    assert conversations(outcome) == [TENT, LAMP]
    told = {row["line"]: (row["action"], json.loads(row["evidence"])) for row in outcome.ledger.iter_rows(named=True)}
    assert told == {2: ("changed", {"lines": [2, 5, 6, 8]}), 3: ("changed", {"lines": [3, 7]})}
    assert outcome.ledger["row_id"].sort().to_list() == outcome.kept["row_id"].to_list()
    meta = json.loads(outcome.kept.sort("line")["meta"][0])
    assert (meta["Subject"], meta["Created At"]) == ("Tent", "2026-01-05 10:42")
    assert [one["author"] for one in meta["message_fields"]] == ["Ann", "Cy", "Ann", "Cy"]


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    ids = {tuple(read(tmp_path, a_csv=table(random.Random(n).sample(TABLE, 6))).kept["row_id"]) for n in range(6)}
    assert len(ids) == 1


def test_a_log_of_chats_is_read_by_its_turns(tmp_path: Path) -> None:
    logged = [
        {"session_id": 4, "role": "assistant", "content": "Hello.", "turn": 2, "model": "m"},
        {"session_id": 4, "role": "system", "content": "Be brief.", "turn": 1},
        {"session_id": 4, "role": "user", "content": "Hi", "turn": 1.5},
    ]
    outcome = read(tmp_path, a_jsonl="".join(json.dumps(row) + "\n" for row in logged))
    assert conversations(outcome) == [[("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello.")]]


@pytest.mark.parametrize(
    ("times", "order"),
    {
        ("10:00", "10:00", "10:01"): "abc",  # of one minute: as they stand, where the file goes up
        ("10:01", "10:01", "10:00"): "cba",  # or down
        ("10:01", "10:00", "10:01"): "",
        ("10:00", "10:00", "10:00"): "",
    }.items(),
)
def test_messages_of_the_same_time_are_in_order_only_where_the_file_is(
    tmp_path: Path, times: tuple[str, ...], order: str
) -> None:
    rows = [f"1,customer,{word},2026-02-01 {time}" for word, time in zip("abc", times, strict=True)]
    outcome = read(tmp_path, a_csv=table(rows, "ticket_id,role,text,time"))
    assert ["".join(text for _, text in one) for one in conversations(outcome)] == ([order] if order else [])
    assert {reason for _, reason in held(outcome)} == (set() if order else {"messages of the same time, in no order"})


@pytest.mark.parametrize(
    ("head", "first", "second"),
    [
        ("thread_id,inbound,text,created_at", "True,Hi", "False,Hello"),
        ("thread_id,direction,message,sent at", "incoming,Hi", "outgoing,Hello"),
        ("conversation,speaker,utterance,date", "User,Hi", "Assistant,Hello"),
        ("caseId,is_agent,comment,timestamp", "0,Hi", "1,Hello"),
    ],
)
def test_the_two_sides_have_many_names(tmp_path: Path, head: str, first: str, second: str) -> None:
    rows = [f"7,{second},2026-03-04T10:00:00Z", f"7,{first},2026-03-04T09:00:00Z"]
    assert conversations(read(tmp_path, a_csv=table(rows, head))) == [[("user", "Hi"), ("assistant", "Hello")]]


@pytest.mark.parametrize("day", ["05/01/2026", "25/01/2026", "01/25/2026", "25.01.2026"])
def test_day_and_month_need_not_be_known_where_the_order_is_the_same(tmp_path: Path, day: str) -> None:
    rows = [f"1,agent,b,{day} 10:05", f"1,customer,a,{day} 10:00"]
    outcome = read(tmp_path, a_csv=table(rows, "ticket_id,role,text,date"))
    assert conversations(outcome) == [[("user", "a"), ("assistant", "b")]]


HELD: dict[str, list[str]] = {
    "who speaks is not known by its role": ["1,customer,,a,2026-01-05,", "1,Cy Lee,,b,2026-01-06,"],
    "several people answer in one conversation": ["1,agent,Cy,a,2026-01-05,", "1,agent,Di,b,2026-01-06,"],
    "several people ask in one conversation": ["1,customer,An,a,2026-01-05,", "1,customer,Bo,b,2026-01-06,"],
    "a time that cannot be read": ["1,customer,,a,2026-01-05,", "1,agent,,b,,"],
    "a time whose day and month cannot be told apart": ["1,customer,,a,03/02/2026,", "1,agent,,b,01/03/2026,"],
    "a note among the team within the conversation": ["1,customer,,a,2026-01-05,", "1,internal note,,b,2026-01-06,"],
    "a message without text within the conversation": ["1,customer,, ,2026-01-05,", "1,agent,,b,2026-01-06,"],
    "a message that comes twice within the conversation": ["1,agent,,b,2026-01-06,", "1,agent,,b,2026-01-06,"],
    "a message of the system within the conversation": ["1,agent,,b,2026-01-06,", "1,system,,closed,2026-01-07,"],
    "a message without the id of its conversation": [",agent,,b,2026-01-06,", ",customer,,b,2026-01-07,"],
}


@pytest.mark.parametrize("reason", HELD)
def test_what_is_not_sure_is_held_row_by_row_with_the_reason(tmp_path: Path, reason: str) -> None:
    outcome = read(tmp_path, a_csv=table([*HELD[reason], *TABLE]))
    assert held(outcome) == [(2, reason), (3, reason)]
    assert conversations(outcome) == [TENT, LAMP]


def test_without_a_time_or_a_number_only_single_messages_are_in_order(tmp_path: Path) -> None:
    rows = ["1,customer,a", "1,agent,b", "2,customer,c"]
    outcome = read(tmp_path, a_csv=table(rows, "ticket_id,role,text"))
    assert held(outcome) == [(line, "no time or number to put its messages in order") for line in (2, 3)]
    assert conversations(outcome) == [[("user", "c")]]


def test_marks_and_pictures_of_single_messages_are_heeded(tmp_path: Path) -> None:
    base: list[dict[str, Any]] = [
        {"role": "user", "text": "a", "turn": 1},
        {"role": "assistant", "text": "b", "turn": 2},
    ]
    odd = [{"image_url": "x.png"}, {"deleted": True}, {"weight": 0}, {"is_public": False}]
    rows = [
        {"chat_id": number, **said, **(more if said["turn"] == 2 else {})}
        for number, more in enumerate(odd)
        for said in base
    ]
    outcome = read(tmp_path, a_jsonl="".join(json.dumps(row) + "\n" for row in rows))
    reasons = [
        *["a picture, film or sound beside the text"] * 2,
        *["marked as not to be learnt"] * 4,  # a weight of 0 on one message of it too
        *["a note among the team within the conversation"] * 2,
    ]
    assert [reason for _, reason in held(outcome)] == reasons


def test_a_conversation_on_two_pages_of_an_export_is_held(tmp_path: Path) -> None:
    outcome = read(tmp_path, a_csv=table(TABLE[:3]), b_csv=table(TABLE[3:]))
    assert {reason for _, reason in held(outcome)} == {"its conversation goes on in another file"}
    assert len(held(outcome)) == 6
    alike = read(tmp_path, a_csv=table(TABLE), c_csv=table(["17,user,x,1"], "ticket_id,role,text,turn"))
    assert len(conversations(alike)) == 3  # the tickets of another export


def test_a_file_that_is_something_else_is_read_as_before(tmp_path: Path) -> None:
    pairs = "ticket_id,author,prompt,completion\n1,Ann,a,b\n1,Bo,c,d\n"
    assert conversations(read(tmp_path, a_csv=pairs)) == [[("user", t[0]), ("assistant", t[1])] for t in ("ab", "cd")]
    labelled = "case_id,text,label\n1,a,b\n1,c,d\n"
    assert held(read(tmp_path, b_csv=labelled))[0] == (2, "a row of kind classification, where the recipe says sft")
    assert read(tmp_path, "classification", b_csv=labelled).kept.height == 2
