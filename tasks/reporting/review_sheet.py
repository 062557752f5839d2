"""Review sheets: rows as flat records that a spreadsheet or a labelling tool opens, and the way back.

CSV: UTF-8 with a byte order mark, without which Excel reads Windows' old code page; commas, CRLF. A cell that a
spreadsheet would take for a formula, a number or a date gets a leading ' and loses it when it is read: 007 stays 007,
=1+1 is text. JSONL has the same records, neither marked nor cut.

A conversation is one cell, `prompt`, and its last answer another. One user message stands as it is; in anything longer
a line [system], [user] or [assistant] stands before each message (\\[user] is a line of text that says so itself).

`check` binds a record to its row and to its texts. Sorting one column without the others, the classic accident, is seen
by it, and so is a text that was changed.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.core.errors import DataError
from tasks.core.home import digest_bytes, digest_json
from tasks.data.delimited import read_csv
from tasks.data.records import Record

Message = dict[str, str]
TEXTS = ("prompt", "answer", "rejected")  # what an edit may change
LONGEST = 32_000  # characters of a cell; Excel holds 32,767 and cuts the rest off without a word
CUT = re.compile(r"… \(cut after [\d,]+ of [\d,]+ characters; edit this row in the JSONL file\)$")
_HEAD = re.compile(r"\[(system|user|assistant)\]")
_LIKE_HEAD = re.compile(r"(?m)^(?=\\*\[(?:system|user|assistant)\]$)")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")  # OWASP's list of how one begins
_NUMBER = re.compile(  # or a date, or a truth value
    rf"(?i)[\d.,:/%$€£()\s-]*\d[\d.,:/%$€£()e\s+-]*|true|false"
    rf"|\d{{1,4}}[\s./-]+{_MONTH}(?:[\s./-]+\d{{1,4}})?|{_MONTH}[\s./-]+\d{{1,4}}(?:,?[\s./-]+\d{{1,4}})?"
)
NUMBER_CHARACTERS = 300  # of a cell that could be one number


# ---------------------------------------------------------------- conversations in cells


def cells(messages: Sequence[Message]) -> tuple[str, str]:
    """(prompt, answer) of a conversation; the answer is empty where the last message is not the assistant's."""
    answered = bool(messages) and messages[-1]["role"] == "assistant"
    before = messages[:-1] if answered else messages
    answer = messages[-1]["content"] or "" if answered else ""
    if [said["role"] for said in before] == ["user"] and not _HEAD.fullmatch(_first_line(before[0]["content"] or "")):
        return before[0]["content"] or "", answer
    blocks = [f"[{said['role']}]\n{_LIKE_HEAD.sub(chr(92) * 2, said['content'] or '')}" for said in before]
    return "\n".join(blocks), answer


def conversation(prompt: str, answer: str) -> list[Message]:
    """The messages that `cells` told of, or that a person wrote in the same way."""
    messages: list[Message] = []
    if not _HEAD.fullmatch(_first_line(prompt)):
        messages = [{"role": "user", "content": prompt}] if prompt else []
    else:
        for line in prompt.split("\n"):
            if head := _HEAD.fullmatch(line):
                messages.append({"role": head[1], "content": ""})
            else:
                messages[-1]["content"] += "\n" + (line[1:] if _HEAD.fullmatch(line.lstrip("\\")) else line)
        messages = [{**said, "content": said["content"].removeprefix("\n")} for said in messages]
    return [*messages, *([{"role": "assistant", "content": answer}] if answer else [])]


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]


def check_of(row_id: str, texts: Mapping[str, Any]) -> str:
    """Of the row, and of what it says; line ends do not count, as spreadsheets write their own."""
    said = [plain(texts.get(name)) for name in TEXTS]
    return f"{digest_bytes(row_id.encode())[:8]}-{digest_json(said)[:12]}"


def plain(value: Any) -> str:
    """A cell's text with line ends as \\n; nothing is an empty text."""
    return "" if value is None else str(value).replace("\r\n", "\n").replace("\r", "\n")


# ---------------------------------------------------------------- files


def write_csv(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows([_cell(row[name]) for name in columns] for row in rows)


def write_jsonl(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps({name: row[name] for name in columns}, ensure_ascii=False) + "\n" for row in rows)


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if len(value) > LONGEST:
        value = (
            f"{value[:LONGEST]}… (cut after {LONGEST:,} of {len(value):,} characters; edit this row in the JSONL file)"
        )
    return f"'{value}" if _taken(value) else value


def _taken(text: str) -> bool:
    """Whether a spreadsheet would make something of it; the same with and without leading apostrophes, so undoing is
    exact.
    """
    text = text.lstrip("'")
    return bool(_FORMULA.match(text)) or (len(text) <= NUMBER_CHARACTERS and bool(_NUMBER.fullmatch(text.strip())))


def read_sheet(file: Path) -> Iterator[Record]:
    """The records of a sheet that came back. line: as a spreadsheet numbers it, the header being 1; in JSONL the line.

    Raises DataError for what cannot be read as a whole; a broken record has a reason.
    """
    text = _text(file)
    if text.lstrip().startswith("{"):
        return _json_records(text)
    return _table_records(file, text)


def _table_records(file: Path, text: str) -> Iterator[Record]:
    for number, record in enumerate(read_csv(file.name, text), 2):
        value = record.value and {
            (name or "").strip().lower(): cell[1:] if cell.startswith("'") and _taken(cell) else cell
            for name, cell in record.value.items()
        }
        yield Record(number, value, record.text, record.reason, record.evidence)


def _json_records(text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Record(number, None, line, f"not JSON: {error}")
        else:
            good = isinstance(value, dict)
            yield Record(number, value if good else None, line, "" if good else "not a JSON object")


def _text(file: Path) -> str:
    todo = "export it as CSV UTF-8 (in Excel: Save As, CSV UTF-8), or hand back the JSONL file"
    try:
        data = file.read_bytes()
    except OSError as error:
        allowed = "a review sheet, CSV or JSONL, that a run wrote"
        raise DataError(f"The sheet cannot be read: {error.strerror}.", where=str(file), allowed=allowed) from error
    if data.startswith(b"PK"):
        raise DataError(
            "The sheet is a workbook, not a table of text.", where=str(file), allowed="CSV or JSONL", todo=todo
        )
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"The sheet is not UTF-8: byte {error.start + 1:,} is no letter, so the texts in it cannot be trusted."
        raise DataError(what, where=str(file), allowed="UTF-8", todo=todo) from error
