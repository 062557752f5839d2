"""Parts of writers: a row's tools, its one question and answer, and records as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from tasks.core.row import tools_of
from tasks.data.formats.base import Record, Row, UnheldError


def offered_tools(row: Row) -> Record:
    """{tools} of a row with tools on offer, also those that came as JSON text in a table's column; else empty."""
    tools = tools_of(row["meta"])
    return {"tools": tools} if tools else {}


def assistant(text: str) -> Record:
    """An answer as a message."""
    return {"role": "assistant", "content": text}


def single_turn(row: Row) -> tuple[str, str, str]:
    """(system, question, answer) of a row of one question and one answer. Raises UnheldError for any other."""
    system = [said["content"] for said in row["messages"][:1] if said["role"] == "system"]
    rest = row["messages"][len(system) :]
    if [said["role"] for said in rest] != ["user", "assistant"]:
        raise UnheldError("is not one question and one answer")
    if system and not system[0].strip():
        raise UnheldError("has an empty system message")
    return "".join(system), rest[0]["content"], rest[1]["content"]


def write_jsonl(records: dict[str, list[Record]], folder: Path) -> None:
    """Write each split as a file of one JSON object a line."""
    for split, rows in records.items():
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_json(records: dict[str, list[Record]], folder: Path) -> None:
    """Write each split as a file of one JSON list."""
    for split, rows in records.items():
        text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{split}.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
