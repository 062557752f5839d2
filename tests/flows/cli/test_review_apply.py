"""`assay review apply`: what people wrote into a sheet, good lines taken in and bad ones named."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli.review_apply import Applied, apply, print_applied
from tasks.core.decisions import read_decisions
from tasks.core.errors import DataError
from tasks.personal_data.finders import PersonalData
from tasks.reporting.review_sheet import check_of, write_csv, write_jsonl

Record = dict[str, Any]
COLUMNS = ["decision", "note", "choices", "prompt", "answer", "suggestion", "step", "reason", "row_id", "check"]


def record(n: int, **columns: Any) -> Record:
    """A line as `review` writes it, for a row that conflicts held back."""
    texts = {"prompt": f"Where is parcel {n}?", "answer": "0612"}
    row_id = f"{n:064x}"
    told = {
        "decision": "",
        "note": "",
        "choices": "keep, edit, drop",
        **texts,
        "suggestion": "",
        "step": "conflicts",
        "reason": "contradicts another row",
        "row_id": row_id,
        "check": check_of(row_id, texts),
    }
    return {**told, **columns}


def sheet(folder: Path, *records: Record, name: str = "review.csv") -> Path:
    write = write_jsonl if name.endswith("l") else write_csv
    write(folder / name, COLUMNS, records)
    return folder / name


def applied(folder: Path, *records: Record, name: str = "review.csv", reviewer: str = "Ada Lovelace") -> Applied:
    return apply(sheet(folder, *records, name=name), reviewer, folder / "decisions.jsonl", PersonalData())


@pytest.mark.parametrize("name", ["review.csv", "review.jsonl"])
def test_each_kind_of_decision_is_taken_in_with_reviewer_and_reason(tmp_path: Path, name: str) -> None:
    better = record(5, decision="suggested", choices="keep, edit, drop, suggested", suggestion="0700")
    made = applied(
        tmp_path,
        record(1, decision="Keep ", note="both\nare right"),
        record(2, decision="DROP"),
        record(3),
        record(4, decision="edit", answer="0613"),
        better,
        name=name,
    )
    assert (len(made.taken), made.known, made.open, made.mistakes) == (4, 0, 1, [])
    kept, dropped, edited, suggested = read_decisions(tmp_path / "decisions.jsonl").made
    assert (kept.decision, kept.note, kept.reviewer) == ("keep", "both are right", "Ada Lovelace")
    assert (kept.step, kept.reason, kept.at[-1]) == ("conflicts", "contradicts another row", "Z")
    assert dropped.decision == "drop"
    assert [said.content for said in edited.messages] == ["Where is parcel 4?", "0613"]
    assert suggested.decision == "edit"
    assert suggested.messages[-1].content == "0700"


def test_a_sheet_handed_in_again_takes_in_nothing_twice(tmp_path: Path) -> None:
    told = [record(1, decision="keep"), record(2, decision="edit", answer="x")]
    applied(tmp_path, *told)
    before = (tmp_path / "decisions.jsonl").read_bytes()
    again = applied(tmp_path, *told, reviewer="Grace")
    assert (len(again.taken), again.known) == (0, 2)
    assert (tmp_path / "decisions.jsonl").read_bytes() == before


CHANGED: list[tuple[Record, str]] = [
    (record(1, decision="kep"), "decision is 'kep'; allowed: keep, edit, drop. did you mean 'keep'?"),
    (record(1, decision="suggested"), "suggested does not fit this row; allowed: keep, edit, drop"),
    (record(1, decision="keep", choices="edit, drop"), "keep does not fit this row; allowed: edit, drop"),
    (record(1, answer="new"), "the text was changed, but decision is empty; write edit, or drop"),
    (record(1, decision="keep", answer="new"), "cannot be kept as it is; write edit, or put the text back"),
    (record(1, decision="edit"), "nothing was changed; write keep, or change prompt or answer"),
    (record(1, decision="edit", answer=" "), "answer is empty"),
    (record(1, decision="edit", prompt=""), "prompt is empty"),
    (record(1, decision="drop", row_id="1E+20"), "row_id is '1E+20', where 64 digits and letters a to f should stand"),
    (record(1, decision="drop", row_id="f" * 64), "row_id and check are of different rows"),
    (
        record(
            1, decision="edit", prompt="w… (cut after 32,000 of 40,000 characters; edit this row in the JSONL file)"
        ),
        "nothing was changed; write keep, or change prompt or answer; a text this long is edited in the JSONL file",
    ),
]


@pytest.mark.parametrize(("wrong", "told"), CHANGED)
def test_a_line_with_a_mistake_is_named_and_the_good_ones_are_taken_in(
    tmp_path: Path, wrong: Record, told: str
) -> None:
    made = applied(tmp_path, record(7, decision="keep"), wrong, record(8, decision="drop"))
    assert [mistake.line for mistake in made.mistakes] == [3]
    assert told in made.mistakes[0].what
    assert [one.row_id for one in read_decisions(tmp_path / "decisions.jsonl").made] == [f"{7:064x}", f"{8:064x}"]
    with pytest.raises(DataError, match="1 line not taken in; the others are") as refusal:
        print_applied(made, "support_triage")
    assert f"line 3: {made.mistakes[0].what}" in refusal.value.where


def test_one_row_decided_in_two_ways_is_named_once(tmp_path: Path) -> None:
    made = applied(tmp_path, record(1, decision="keep"), record(1, decision="drop"), record(1, decision="keep"))
    assert [(mistake.line, mistake.what[:19]) for mistake in made.mistakes] == [(3, "the same row as lin")]
    assert [one.decision for one in made.taken] == ["keep"]


def test_a_row_dropped_after_its_text_was_changed_is_dropped(tmp_path: Path) -> None:
    assert [one.decision for one in applied(tmp_path, record(1, decision="drop", answer="x")).taken] == ["drop"]


def test_a_column_sorted_without_the_others_is_seen(tmp_path: Path) -> None:
    told = [record(n, decision="drop") for n in range(1, 5)]
    ids = [one["row_id"] for one in told]
    made = applied(tmp_path, *({**one, "row_id": row_id} for one, row_id in zip(told, reversed(ids), strict=True)))
    assert not made.taken
    assert len(made.mistakes) == 4


def excel(file: Path) -> None:
    """As a German Excel saves it: semicolons, no quotes but where needed, in UTF-8 with its mark."""
    with file.open(encoding="utf-8-sig", newline="") as before:
        rows = list(csv.reader(before))
    with file.open("w", encoding="utf-8-sig", newline="") as after:
        csv.writer(after, delimiter=";").writerows(rows)


def numbers(file: Path) -> None:
    """As LibreOffice saves it when someone took the apostrophes away."""
    file.write_text(file.read_text("utf-8-sig").replace("'0612", "0612"), "utf-8")


@pytest.mark.parametrize("save", [excel, numbers])
def test_a_sheet_that_a_spreadsheet_saved_is_read_as_it_was_meant(tmp_path: Path, save: Callable[[Path], None]) -> None:
    file = sheet(tmp_path, record(1, decision="keep"), record(2, decision="edit", prompt="=Wo;\nist es?"))
    save(file)
    made = apply(file, "Ada", tmp_path / "decisions.jsonl", PersonalData())
    assert made.mistakes == []
    assert made.taken[1].messages[0].content == "=Wo;\nist es?"
    assert made.taken[1].messages[1].content == "0612"


def test_no_personal_data_gets_into_the_decisions(tmp_path: Path) -> None:
    note = "ask jo.doe@example.com"
    applied(tmp_path, record(1, decision="keep", note=note), record(2, decision="edit", answer=f"Write: {note}"))
    text = (tmp_path / "decisions.jsonl").read_text()
    assert "example.com" not in text
    assert text.count("[email]") == 2


def test_a_longer_conversation_is_edited_in_one_cell(tmp_path: Path) -> None:
    prompt = "[system]\nBe kind.\n[user]\nWhere?\n[assistant]\nWhich?\n[user]\nThe red one."
    (decision,) = applied(tmp_path, record(1, decision="edit", prompt=prompt)).taken
    assert [said.role for said in decision.messages] == ["system", "user", "assistant", "user", "assistant"]


def test_a_labelling_tool_that_hands_back_other_columns_is_understood_without_check(tmp_path: Path) -> None:
    told = {"row_id": "a" * 64, "decision": "edit", "prompt": "Where?", "answer": "There.", "annotator": 7}
    (tmp_path / "back.jsonl").write_text(json.dumps(told) + "\n" + json.dumps({"row_id": "b" * 64}) + "\n")
    made = apply(tmp_path / "back.jsonl", "Ada", tmp_path / "decisions.jsonl", PersonalData())
    assert len(made.taken) == 1
    assert made.mistakes[0].what == "it has no column decision; keep the sheet's columns"


@pytest.mark.parametrize("reviewer", ["", "  ", "x" * 101])
def test_decisions_have_a_name_to_them(tmp_path: Path, reviewer: str) -> None:
    with pytest.raises(DataError, match="no name of a reviewer"):
        applied(tmp_path, record(1, decision="keep"), reviewer=reviewer)
    assert not (tmp_path / "decisions.jsonl").exists()


def test_what_is_next_is_said_when_all_lines_were_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_applied(applied(tmp_path, record(1, decision="keep"), record(2)), "support_triage")
    told = capsys.readouterr()
    said = told.out + told.err
    assert "1 decision taken in: 1 to keep; 1 still open" in said
    assert "assay curate support_triage" in said
