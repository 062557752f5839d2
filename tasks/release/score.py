"""Score: one version answers every row of a file; a row that cannot be read or answered comes out with its error.

Leaves answers.parquet, in the order of the file: source, line, input (the record as JSON, or as it stood), answer,
tool_calls (their JSON list, where a record has tools), error, model, version. Answered parts are kept in scratch, so
that a killed run goes on behind the last of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.errors import AssayError
from tasks.core.row import parsed
from tasks.core.settings import Settings
from tasks.core.work import StepDirs, StepResult
from tasks.data.formats.alpaca import instruction
from tasks.data.formats.messages import UnadaptedError, content_text, conversation_turns, turn_list
from tasks.data.formats.ratings import TEXTS
from tasks.data.formats.tool_calls import asked_turns
from tasks.data.records import Record
from tasks.data.sources import RawFile, read
from tasks.metrics.reference import ModelAnswer
from tasks.model.chat_template import ASKING, Message, question
from tasks.registry import mlflow_client
from tasks.registry.loaded_version import LoadedVersion
from tasks.registry.versions import aliases, download, find_version

ANSWERS = "answers.parquet"
TURNS = ("messages", "conversations", "conversation")
QUESTIONS = ("message", "prompt", "question", "query", "input", *TEXTS)  # the first that a record has is what it asks
SCHEMA = {
    "source": pl.String,
    "line": pl.Int64,
    "input": pl.String,
    "answer": pl.String,
    "tool_calls": pl.String,
    "error": pl.String,
    "model": pl.String,
    "version": pl.Int64,
}


class ScoreSettings(Settings):
    """How rows are answered."""

    # Rows between two savings: a kill loses at most so many answers, and each saving is a file of some kilobytes.
    rows: int = Field(default=256, ge=1)


class Served(Settings):
    """Which version answers. unit: the digest of what it is, so that another of this name and number is not taken for
    it.
    """

    model: str
    version: int
    unit: str


def find_served(model: str, alias: str) -> Served:
    """The version behind an alias. Raises PromotionError for an unknown model, AssayError when it has no such alias."""
    with mlflow_client.outside("show the registry"):
        client = mlflow_client.client()
        there = aliases(client, model)
        found = find_version(client, model, there.get(alias, 0))
    if found is None:
        raise AssayError(
            f"{model} has no {alias}.",
            where="alias of the registered model in MLflow",
            allowed=", ".join(f"{name} (version {number})" for name, number in sorted(there.items()))
            or "no alias is set",
            todo=f"`assay promote {model}` makes the challenger champion; or name another alias",
        )
    return Served(model=model, version=int(found.version), unit=found.tags.get(mlflow_client.DIGEST, ""))


def score(place: StepDirs, *, settings: ScoreSettings, served: Served, files: list[RawFile]) -> StepResult:
    """Answer every record of every file. Raises DataError for a file that cannot be trusted as a whole."""
    rows = [_row(file.name, record) for file in files for record in read(file)]
    parts = [place.scratch / f"part-{number:06}.parquet" for number in range(-(-len(rows) // settings.rows))]
    model: LoadedVersion | None = None
    with ExitStack() as loaded:
        for number, (part, some) in enumerate(zip(parts, _pieces(rows, settings.rows), strict=True), 1):
            if not part.exists():
                model = model or loaded.enter_context(LoadedVersion(_model_folder(served, place.scratch)))
                _save(
                    part, [_answered(row, said) for row, said in zip(some, _answers(model, some), strict=True)], served
                )
            place.progress(number / len(parts), f"{min(number * settings.rows, len(rows)):,} of {len(rows):,} rows")
    frame = pl.concat([pl.DataFrame(schema=SCHEMA), *(pl.read_parquet(part) for part in parts)])
    frame.write_parquet(place.out / ANSWERS)
    bad = frame["error"].is_not_null().sum()
    line = f"{frame.height - bad:,} rows answered by {served.model} version {served.version}" + (
        f", {bad:,} with an error" if bad else ""
    )
    table = [
        {"error": error, "rows": n} for error, n in frame["error"].drop_nulls().value_counts(sort=True).iter_rows()
    ]
    return StepResult(
        "answers", line, {"rows": frame.height, "errors": bad, **served.model_dump()}, table, frame.height
    )


def _pieces(rows: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _model_folder(served: Served, scratch: Path) -> Path:
    with mlflow_client.outside("give the model back"):
        version = find_version(mlflow_client.client(), served.model, served.version)
    return download(version, scratch / "model")


def _row(source: str, record: Record) -> dict[str, Any]:
    """A record with what it asks, or with why it asks nothing."""
    text = record.text if record.value is None else json.dumps(record.value, ensure_ascii=False, default=str)
    row: dict[str, Any] = {
        "source": source,
        "line": record.line,
        "input": text.encode("utf-8", "backslashreplace").decode(),
    }
    if record.value is None:
        return {**row, "error": record.reason}
    try:
        return {**row, "asked": prompt_of(record.value), "tools": parsed(record.value.get("tools"), "[") or None}
    except UnadaptedError as error:
        return {**row, "error": error.reason}


def prompt_of(record: dict[str, Any]) -> list[Message]:
    """What a record asks: its turns before the last answer, or its question or text alone. Raises UnadaptedError."""
    row = {key.strip().lower(): value for key, value in record.items()}
    for key in TURNS:
        if (turns := turn_list(row.get(key))) is not None:
            return _ends_in_question(asked_turns(turns))
    if "instruction" in row:
        return _ends_in_question(instruction(row))
    name = next((name for name in QUESTIONS if row.get(name) is not None), None)
    if name is None:
        raise UnadaptedError("asks nothing: no column " + ", ".join((*TURNS, "instruction", *QUESTIONS[:5], TEXTS[0])))
    if turns := conversation_turns(row[name]):
        return _ends_in_question(asked_turns(turns))
    return [{"role": "user", "content": content_text(row[name])}]


def _ends_in_question(messages: list[Message]) -> list[Message]:
    turns = messages if messages and messages[-1]["role"] in ASKING else question(messages)
    if not turns or turns[-1]["role"] not in ASKING:
        raise UnadaptedError("asks nothing: no user turn before the last answer")
    return turns


def _answers(model: LoadedVersion, rows: list[dict[str, Any]]) -> Iterator[tuple[ModelAnswer | None, str | None]]:
    """(answer, error) of each row, in order."""
    given = iter(model.answers_or_reasons([(row["asked"], row["tools"]) for row in rows if "asked" in row]))
    for row in rows:
        yield next(given) if "asked" in row else (None, row["error"])


def _answered(row: dict[str, Any], answer: tuple[ModelAnswer | None, str | None]) -> dict[str, Any]:
    said, error = answer
    given = {"answer": said.text, "tool_calls": said.calls} if said else {}
    return {**{key: row[key] for key in ("source", "line", "input")}, **given, "error": error}


def _save(part: Path, rows: list[dict[str, Any]], served: Served) -> None:
    named = {"model": served.model, "version": served.version}
    half = part.with_suffix(".half")
    pl.DataFrame([{**row, **named} for row in rows], schema=SCHEMA).write_parquet(half)
    os.replace(half, part)
