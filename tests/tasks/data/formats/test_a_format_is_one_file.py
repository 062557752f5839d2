"""A format is one file and one line in the list: ingest, export and the command take it by the list alone."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from flows.cli.main import main
from tasks.core.errors import DataError, RecipeError
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row_kind import SFT
from tasks.core.text.strict_yaml import read_yaml
from tasks.curation.export import export
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest
from tasks.data.formats.base import Format
from tasks.data.formats.catalog import FORMATS, readable, writable

TRANSCRIPT = '''
"""Transcripts: {dialog: ["> question", "< answer", ...]}, one JSON object a line."""

from tasks.core.row_kind import RowKind
from tasks.data.formats.base import Format, Record, Row, Shape, Shaped, UnheldError, Writer
from tasks.data.formats.messages import UnadaptedError
from tasks.data.formats.writing import write_jsonl

SPEAKERS = {"> ": "user", "< ": "assistant"}
MARKS = {role: mark for mark, role in SPEAKERS.items()}


def _read(record: Record) -> Shaped:
    lines = record["dialog"]
    if any(line[:2] not in SPEAKERS for line in lines):
        raise UnadaptedError("a line without a speaker", lines=len(lines))
    return Shaped([{"role": SPEAKERS[line[:2]], "content": line[2:]} for line in lines], {"dialog"})


def _record(row: Row, _: RowKind) -> Record:
    if any(message["role"] not in MARKS for message in row["messages"]):
        raise UnheldError("has a system message, for which a transcript has no mark")
    return {"dialog": [MARKS[message["role"]] + message["content"] for message in row["messages"]]}


FORMAT = Format("transcript", shapes=(Shape((frozenset(("dialog",)),), _read),), writer=Writer(_record, write_jsonl))
'''
RECORDS = [{"dialog": ["> Hi", "< Hello"], "shop": "north"}, {"dialog": ["> Is it open?", "< Yes", "> Now?", "< Yes"]}]


@pytest.fixture
def transcript(tmp_path: Path) -> Iterator[Format]:
    """The format of a file written just now, listed last."""
    file = (tmp_path / "transcript").with_suffix(".py")
    file.write_text(TRANSCRIPT)
    format = runpy.run_path(str(file))["FORMAT"]
    FORMATS.append(format)
    yield format
    FORMATS.remove(format)


def lines(file: Path) -> list[object]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def read(file: Path, *records: object, format: str = "auto") -> Outcome:
    if records:
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
    outcome = ingest(find_sources([Source(path=file.name, format=format)], file.parent), IngestSettings(), SFT)
    check_balance("ingest", None, outcome)
    return outcome


@pytest.mark.parametrize("named", ["auto", "transcript"])
def test_a_new_format_is_read_and_what_it_refuses_is_quarantined(
    tmp_path: Path, transcript: Format, named: str
) -> None:
    got = read(tmp_path / "rows.jsonl", *RECORDS, {"dialog": ["Hi"]}, format=named)
    assert [len(messages) for messages in got.kept.sort("line")["messages"]] == [2, 4]
    assert got.kept.sort("line")["meta"].to_list() == ['{"shop": "north"}', "{}"]
    assert got.ledger.select("line", "action", "reason").rows() == [(3, "quarantined", "a line without a speaker")]


def test_a_new_format_stands_among_those_that_a_record_was_not_recognised_as(
    tmp_path: Path, transcript: Format
) -> None:
    (evidence,) = read(tmp_path / "rows.jsonl", {"nothing": "known"}).ledger["evidence"]
    assert json.loads(evidence)["expected"] == [*readable()[:-1], "transcript"]


def test_what_a_new_format_wrote_is_read_back_as_the_same_rows(tmp_path: Path, transcript: Format) -> None:
    rows = read(tmp_path / "rows.jsonl", *RECORDS).kept
    assert export(rows, "transcript", tmp_path / "out", SFT) == {"train": 2}
    written = sorted(lines(tmp_path / "out/train.jsonl"), key=str)
    assert written == sorted(({"dialog": record["dialog"]} for record in RECORDS), key=str)
    assert read(tmp_path / "out/train.jsonl").kept["row_id"].equals(rows["row_id"])


def test_a_row_that_a_new_format_cannot_hold_is_refused_in_its_words(tmp_path: Path, transcript: Format) -> None:
    said = [{"role": role, "content": "x"} for role in ("system", "user", "assistant")]
    rows = read(tmp_path / "rows.jsonl", {"messages": said}).kept
    with pytest.raises(DataError, match="1 row, each has a system message, for which a transcript has no mark"):
        export(rows, "transcript", tmp_path / "out", SFT)
    weighted = rows.with_columns(weights=pl.lit([0.0, 0.0, 0.0]))
    with pytest.raises(DataError, match="has weights, which it has no place for"):
        export(weighted, "transcript", tmp_path / "out", SFT)


def test_a_misspelt_format_is_answered_with_the_names_of_all_the_new_one_among_them(
    tmp_path: Path, transcript: Format
) -> None:
    (tmp_path / "source.yaml").write_text("path: rows.jsonl\nformat: transcrip\n")
    with pytest.raises(RecipeError) as error:
        read_yaml(tmp_path / "source.yaml", Source)
    assert error.value.allowed == ", ".join(["auto", *readable()])
    assert error.value.todo == "did you mean 'transcript'?"


def test_the_command_writes_a_new_format_and_names_it(
    tmp_path: Path, transcript: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path / "rows.jsonl", *RECORDS).kept.write_parquet(tmp_path / "curated.parquet")
    asked = ["export", str(tmp_path / "curated.parquet"), "--out", str(tmp_path / "out")]
    assert main([*asked, "--format", "transcript"]) == 0
    assert len(lines(tmp_path / "out/train.jsonl")) == 2
    with pytest.raises(SystemExit):
        main([*asked, "--format", "transcrip"])
    assert ", ".join(map(repr, writable())) in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert ", ".join(writable()) in " ".join(capsys.readouterr().out.split())


def test_a_format_that_is_only_read_or_unknown_is_not_written(tmp_path: Path) -> None:
    for name in ("sharegpt", "nothing"):
        with pytest.raises(DataError, match="no format that can be written") as error:
            export(pl.DataFrame({"row_id": ["1"]}), name, tmp_path / "out", SFT)
        assert error.value.allowed == ", ".join(writable())


def test_every_format_has_a_name_of_its_own_and_is_read_or_written() -> None:
    assert len({format.name for format in FORMATS}) == len(FORMATS)
    assert all(format.shapes or format.writer for format in FORMATS)
