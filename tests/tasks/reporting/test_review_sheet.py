"""Sheets come back as they went out: through Excel's ways of writing CSV, whatever the texts hold."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.reporting.review_sheet import (
    LONGEST,
    cells,
    check_of,
    conversation,
    plain,
    read_sheet,
    write_csv,
    write_jsonl,
)

ROLES = st.sampled_from(["system", "user", "assistant"])
LINES = st.sampled_from(["[user]", "\\[user]", "\\\\[assistant]", "[user] no", "", " ", "Where?", "[system]"])
TEXT = st.one_of(
    st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])), st.lists(LINES).map("\n".join)
)
ODD = [
    "=1+1",
    "+44",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "007",
    "1-2",
    "1 May",
    "May 2024",
    "1E5",
    "TRUE",
    "'=1",
    "''007",
    "'",
    "",
    " =x",
]


@given(st.lists(st.fixed_dictionaries({"role": ROLES, "content": TEXT}), min_size=1), TEXT.filter(bool))
def test_any_conversation_comes_back_from_its_cells(before: list[dict[str, str]], answer: str) -> None:
    said = [*before, {"role": "assistant", "content": answer}]
    if [m["role"] for m in before] == ["user"] and not before[0]["content"]:
        return  # an empty prompt is no message that a person wrote
    assert conversation(*cells(said)) == said


def test_one_question_is_shown_as_it_stands_and_a_longer_conversation_says_who_speaks() -> None:
    asked = {"role": "user", "content": "Where is it?"}
    assert cells([asked, {"role": "assistant", "content": "There."}]) == ("Where is it?", "There.")
    told = [{"role": "system", "content": "Be kind."}, asked, {"role": "assistant", "content": "Which?"}, asked]
    assert cells(told) == ("[system]\nBe kind.\n[user]\nWhere is it?\n[assistant]\nWhich?\n[user]\nWhere is it?", "")


@given(
    st.lists(
        st.one_of(st.sampled_from(ODD), TEXT.filter(lambda text: "\0" not in text and len(text) < LONGEST)), min_size=1
    )
)
def test_texts_come_back_from_csv_and_jsonl_whatever_they_begin_with(texts: list[str]) -> None:
    import tempfile

    rows = [{"decision": "keep", "prompt": text} for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("a.csv", write_csv), ("a.jsonl", write_jsonl)):
            file = Path(folder) / name
            write(file, ["decision", "prompt"], rows)
            back = [plain(record.value["prompt"]) for record in read_sheet(file) if record.value]
            assert back == texts


@pytest.mark.parametrize("text", [text for text in ODD if text.strip("' ") and text != "'"])
def test_no_cell_is_a_formula_a_number_or_a_date_to_a_spreadsheet(tmp_path: Path, text: str) -> None:
    write_csv(tmp_path / "a.csv", ["prompt"], [{"prompt": text}])
    data = (tmp_path / "a.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    (_, (cell,)) = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert cell.startswith("'")


def test_ordinary_texts_get_no_apostrophe(tmp_path: Path) -> None:
    texts = [
        "Where is order HP-40012?",
        "May I ask something?",
        '{"intent": "refund"}',
        "order_status",
        "3 lamps broke",
    ]
    write_csv(tmp_path / "a.csv", ["prompt"], [{"prompt": text} for text in texts])
    rows = list(csv.reader(io.StringIO((tmp_path / "a.csv").read_text("utf-8-sig"), newline="")))[1:]
    assert [cell for (cell,) in rows] == texts


@pytest.mark.parametrize(
    ("encoding", "delimiter", "end"), [("utf-8-sig", ";", "\r\n"), ("utf-16", "\t", "\r\n"), ("utf-8", ",", "\n")]
)
def test_what_spreadsheets_save_is_read_whatever_its_marks(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    with (tmp_path / "a.csv").open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
        writer.writerows([("Decision", "prompt", "note"), ("keep", "two\nlines, or; more", "über"), ("", "x", "")])
    first, second = read_sheet(tmp_path / "a.csv")
    assert (first.line, first.value) == (2, {"decision": "keep", "prompt": "two\nlines, or; more", "note": "über"})
    assert second.line == 3


def test_a_sheet_that_cannot_be_trusted_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes("decision,note\nkeep,über\n".encode("cp1252"))
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04")
    for name, told in (("old.csv", "not UTF-8"), ("book.xlsx", "a workbook"), ("none.csv", "cannot be read")):
        with pytest.raises(DataError, match=told):
            list(read_sheet(tmp_path / name))


def test_a_line_of_jsonl_that_is_broken_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"decision": "keep"}\n{"decision"\n[1]\n\n{"decision": "drop"}\n')
    told = [(record.line, record.reason[:8], record.value) for record in read_sheet(tmp_path / "a.jsonl")]
    assert told == [
        (1, "", {"decision": "keep"}),
        (2, "not JSON", None),
        (3, "not a JS", None),
        (5, "", {"decision": "drop"}),
    ]


def test_the_check_is_of_row_and_text_and_not_of_line_ends() -> None:
    one = check_of("a" * 64, {"prompt": "two\nlines", "answer": "x"})
    assert one == check_of("a" * 64, {"prompt": "two\r\nlines", "answer": "x", "rejected": None, "note": "n"})
    assert one[:8] == check_of("a" * 64, {"prompt": "other"})[:8]
    assert one != check_of("a" * 64, {"prompt": "two\nlines", "answer": "y"})
    assert one[:8] != check_of("b" * 64, {"prompt": "two\nlines", "answer": "x"})[:8]


def test_a_text_too_long_for_a_cell_is_cut_in_the_csv_only_and_says_so(tmp_path: Path) -> None:
    row = {"prompt": "word " * 8_000}
    write_csv(tmp_path / "a.csv", ["prompt"], [row])
    write_jsonl(tmp_path / "a.jsonl", ["prompt"], [row])
    assert "cut after 32,000 of 40,000 characters" in (tmp_path / "a.csv").read_text("utf-8-sig")
    (back,) = read_sheet(tmp_path / "a.jsonl")
    assert back.value == row
