"""Ingest: every format gives the same rows, and every record ends as a row or in quarantine with file and line."""

from __future__ import annotations

import codecs
import gzip
import io
import json
from pathlib import Path
from typing import Any

import datasets
import fsspec
import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.errors import AssayError, DataError
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row_kind import KINDS
from tasks.curation.ingest import IngestSettings, RawFile, Source, find_sources, ingest
from tasks.data import readers, sources

ROWS = [
    {"prompt": "Where is HP-48213?", "completion": '{"intent": "order_status"}', "created": "2026-01-02"},
    {
        "prompt": "It broke.\nTwo lines, é and \u201cquotes\u201d",
        "completion": "Sorry; we send another.",
        "created": "",
    },
]


def read(folder: Path, *sources: str | dict[str, Any], kind: str = "sft") -> Outcome:
    files = find_sources([Source.model_validate(source) for source in sources], folder)
    outcome = ingest(files, IngestSettings(), KINDS[kind])
    check_balance("ingest", None, outcome)
    return outcome


def one(folder: Path, text: str | bytes, name: str = "rows.jsonl", **stated: str) -> Outcome:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(folder, {"path": name, **stated})


def turns(outcome: Outcome) -> list[list[tuple[str, str]]]:
    ordered = outcome.kept.sort("source", "line")["messages"].to_list()
    return [[(m["role"], m["content"]) for m in messages] for messages in ordered]


def held(outcome: Outcome) -> list[tuple[int, str]]:
    return sorted(outcome.ledger.select("line", "reason").rows())


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_table(path: Path, kind: str) -> None:
    frame = pl.DataFrame(ROWS)
    match kind:
        case "jsonl":
            path.write_text(lines(ROWS))
        case "json":
            path.write_text(json.dumps(ROWS, indent=1))
        case "json object":
            path.write_text(json.dumps({"message": "ok", "category": "export", "items": ROWS, "tags": ["a"]}))
        case "jsonl named json":
            path.write_text(lines(ROWS))
        case "csv" | "tsv" | "semicolons":
            frame.write_csv(path, separator={"csv": ",", "tsv": "\t", "semicolons": ";"}[kind])
        case "csv from Excel":
            path.write_bytes(b"\xef\xbb\xbf" + frame.write_csv(line_terminator="\r\n").encode())
        case "utf-16":
            path.write_bytes(frame.write_csv(separator="\t").encode("utf-16"))
        case "parquet":
            frame.write_parquet(path)
        case "arrow file":
            frame.write_ipc(path)
        case "arrow stream":
            frame.write_ipc_stream(path)
        case "dataset folder":
            datasets.Dataset.from_list(ROWS).save_to_disk(path)


FORMATS = {
    "jsonl": "x.jsonl",
    "json": "x.json",
    "json object": "x.json",
    "jsonl named json": "x.json",
    "csv": "x.csv",
    "tsv": "x.tsv",
    "semicolons": "x.csv",
    "csv from Excel": "x.csv",
    "utf-16": "x.tsv",
    "parquet": "x.parquet",
    "arrow file": "x.arrow",
    "arrow stream": "x.arrow",
    "dataset folder": "x",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    (tmp_path / "reference.jsonl").write_text(lines(ROWS))
    write_table(tmp_path / FORMATS[kind], kind)
    expected, got = read(tmp_path, "reference.jsonl"), read(tmp_path, FORMATS[kind])
    columns = ["row_id", "messages", "meta"]
    assert got.kept.select(columns).equals(expected.kept.select(columns))
    assert got.ledger.is_empty()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_compressed_file_reads_like_a_plain_one(tmp_path: Path, kind: str, pack: Any) -> None:
    write_table(tmp_path / f"x.{kind}", kind)
    ending = "gz" if pack is gzip.compress else "zst"
    (tmp_path / f"y.{kind}.{ending}").write_bytes(pack((tmp_path / f"x.{kind}").read_bytes()))
    assert read(tmp_path, f"y.{kind}.{ending}").kept["row_id"].equals(read(tmp_path, f"x.{kind}").kept["row_id"])


ASKED, ANSWERED = ("user", "Hi"), ("assistant", "Hello")
SHAPES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "openai": (
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
        [ASKED, ANSWERED],
    ),
    "openai, developer and parts": (
        {"messages": [{"role": "developer", "content": "Be kind"}, {"role": "user", "content": [{"text": "Hi"}]}]},
        [("system", "Be kind"), ASKED],
    ),
    "openai as text in a cell": ({"messages": '[{"role": "user", "content": "Hi"}]'}, [ASKED]),
    "openai, null content": ({"messages": [{"role": "user", "content": None}]}, [("user", "")]),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        [ASKED, ANSWERED],
    ),
    "sharegpt with system": (
        {"system": "Be kind", "conversations": [{"from": "user", "value": "Hi"}]},
        [("system", "Be kind"), ASKED],
    ),
    "alpaca": ({"instruction": "Hi", "input": "", "output": "Hello"}, [ASKED, ANSWERED]),
    "alpaca with input": (
        {"instruction": "Sum up", "input": "Text", "output": "T"},
        [("user", "Sum up\n\nText"), ("assistant", "T")],
    ),
    "prompt and completion": ({"prompt": "Hi", "completion": "Hello"}, [ASKED, ANSWERED]),
    "question and answer, other case": ({"Question ": "Hi", "ANSWER": "Hello"}, [ASKED, ANSWERED]),
    "input and output": ({"input": "Hi", "output": "Hello"}, [ASKED, ANSWERED]),
    "an object as completion": (
        {"prompt": "Hi", "completion": {"intent": "other"}},
        [ASKED, ("assistant", '{"intent": "other"}')],
    ),
    "alpaca with a history": (
        {"instruction": "Hi", "output": "Hello", "history": [["1+1?", "2"]]},
        [("user", "1+1?"), ("assistant", "2"), ASKED, ANSWERED],
    ),
    "a prompt that is JSON, but no conversation": (
        {"prompt": '[{"a": 1}]', "completion": '[{"b": 2}]'},
        [("user", '[{"a": 1}]'), ("assistant", '[{"b": 2}]')],
    ),
    "conversational prompt and completion": (
        {"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Hello"}]},
        [ASKED, ANSWERED],
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_recognised(tmp_path: Path, name: str) -> None:
    record, expected = SHAPES[name]
    outcome = one(tmp_path, lines([{**record, "slice": "short"}]))
    assert turns(outcome) == [expected]
    assert json.loads(outcome.kept["meta"][0]) == {"slice": "short"}


def test_stated_columns_are_taken_and_the_rest_is_meta(tmp_path: Path) -> None:
    outcome = one(tmp_path, "Body,Reply,prompt\nHi,Hello,x\n", "t.csv", question="Body", answer="Reply")
    assert turns(outcome) == [[ASKED, ANSWERED]]
    assert outcome.kept["meta"][0] == '{"prompt": "x"}'


def test_a_stated_format_is_not_guessed_around(tmp_path: Path) -> None:
    with_both = {"messages": [{"role": "user", "content": "Hi"}], "prompt": "a", "completion": "b"}
    outcome = one(tmp_path, lines([with_both, {"prompt": "a"}]), format="prompt_completion")
    assert turns(outcome) == [[("user", "a"), ("assistant", "b")]]
    assert held(outcome) == [(2, "shape not recognised")]


NOT_ROWS: dict[str, bytes] = {
    "not JSON": b'{"prompt": "a", "completion": "b',
    "not an object": b'["prompt", "completion"]',
    "not UTF-8": '{"prompt": "café", "completion": "b"}'.encode("latin-1"),
    "NUL bytes": b"\0" * 20,
    "broken Unicode escape": rb'{"prompt": "\ud83d", "completion": "b"}',
    "shape not recognised": b'{"text": "a", "note": "b"}',
    "no messages in it": b'{"messages": []}',
    "role not recognised": b'{"messages": [{"role": "narrator", "content": "a"}]}',
    "a tool call without a function's name": b'{"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}',
    "content is not text": b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}',
    "message weight is neither 0 nor 1": b'{"messages": [{"role": "assistant", "content": "a", "weight": 0.5}]}',
    "ratings that disagree": b'{"prompt": "a", "completion": "b", "label": true, "thumbs": "down"}',
    "a row of kind classification, where the recipe says sft": b'{"text": "a", "label": "b"}',
    "a row of kind preference, where the recipe says sft": b'{"prompt": "a", "chosen": "b", "rejected": "c"}',
}


@pytest.mark.parametrize("reason", NOT_ROWS)
def test_a_line_that_is_no_row_is_quarantined_with_its_place_and_its_text(tmp_path: Path, reason: str) -> None:
    good = json.dumps(ROWS[0]).encode()
    outcome = one(tmp_path, b"\n".join([good, NOT_ROWS[reason], b"", good, b""]))
    assert held(outcome) == [(2, reason)]
    assert outcome.kept["line"].sort().to_list() == [1, 4]
    assert outcome.raw is not None
    assert outcome.raw["row_id"].to_list() == outcome.ledger["row_id"].to_list()
    assert outcome.raw["text"][0].startswith(NOT_ROWS[reason][:12].decode())


def test_evidence_names_keys_and_columns_but_never_content(tmp_path: Path) -> None:
    outcome = one(tmp_path, lines([ROWS[0], {"mail": "jo@example.com"}]) + '{"prompt": jo@example.com}\n')
    evidence = {row["reason"]: json.loads(row["evidence"]) for row in outcome.ledger.iter_rows(named=True)}
    assert evidence["shape not recognised"]["columns_found"] == ["mail"]
    assert evidence["not JSON"] == {"column": 12, "error": "Expecting value"}
    assert "example" not in "".join(outcome.ledger["evidence"])


def test_nothing_in_json_is_a_crash(tmp_path: Path) -> None:
    odd = [
        "[" * 100_000,
        "9" * 5000,
        '{"a": NaN}',
        "null",
        '"text"',
        '{"messages": [1]}',
        '{"messages": [{"role": ["user"]}]}',
    ]
    outcome = one(tmp_path, "\n".join([json.dumps(ROWS[0]), *odd]))
    assert (outcome.kept.height, outcome.ledger.height) == (1, len(odd))


def test_a_table_record_that_does_not_fit_is_quarantined_by_the_line_it_begins_on(tmp_path: Path) -> None:
    text = 'prompt,completion\n"two\nlines",b\nonly one\n\n1,2,3\n"a"b,c\nlast,row\n'
    outcome = one(tmp_path, text, "t.csv")
    assert turns(outcome) == [[("user", "two\nlines"), ("assistant", "b")], [("user", "last"), ("assistant", "row")]]
    assert held(outcome) == [(4, "wrong number of fields"), (6, "wrong number of fields"), (7, "not CSV")]
    assert outcome.kept["line"].sort().to_list() == [2, 8]
    assert outcome.raw is not None
    assert sorted(outcome.raw["text"]) == ['"a"b,c', "1,2,3", "only one"]


def test_columns_without_a_name_or_with_the_same_name_are_all_kept(tmp_path: Path) -> None:
    outcome = one(tmp_path, "prompt,completion,note,,note\na,b,x,y,z\n", "t.csv")
    assert json.loads(outcome.kept["meta"][0]) == {"note": "x", "column_4": "y", "note_2": "z"}


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "an empty file": ("x.jsonl", b"", "is empty"),
    "only blanks": ("x.csv", b"\xef\xbb\xbf \r\n\n", "is empty"),
    "a picture under a false name": (
        "x.jsonl",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
        "no line that is a JSON object",
    ),
    "a picture as a table": ("x.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "line of column names"),
    "an unknown format": ("x.docx", b"PK\x03\x04 things", "no format that Assay reads"),
    "JSON that breaks off": ("x.json", b'[{"prompt": "a",\n "completion": "b"}, {"pro', "line 2, column 23"),
    "JSON without objects": ("x.json", b"[1, 2]", "no JSON object"),
    "JSON with two lists": ("x.json", b'{"train": [{"a": 1}], "test": [{"a": 1}]}', "2 lists of objects: train, test"),
    "a table with a header only": ("x.csv", b"prompt,completion\n", "no record"),
    "a quote that never closes": ("x.csv", b'prompt,completion\na,b\n"c,d\ne,f\n', "starts at line 3"),
    "a damaged archive": ("x.jsonl.gz", gzip.compress(b"{}" * 500)[:-9], "damaged or cut off"),
    "a damaged Parquet file": ("x.parquet", b"PAR1 and no more", "not a readable Parquet file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_trusted_as_a_whole_is_refused_with_a_way_out(tmp_path: Path, case: str) -> None:
    name, data, told = REFUSED[case]
    with pytest.raises(DataError, match=told) as error:
        one(tmp_path, data, name)
    assert error.value.where == name
    assert error.value.allowed
    assert error.value.todo


def test_an_id_survives_a_new_export_and_copies_are_told_apart(tmp_path: Path) -> None:
    old = one(tmp_path, lines([ROWS[0], ROWS[0], ROWS[1]]), "old.jsonl")
    later = [{**row, "created": "2027-05-05"} for row in (ROWS[1], ROWS[0], ROWS[0])]
    new = one(tmp_path, lines(later), "new.jsonl")
    assert old.kept["row_id"].n_unique() == 3
    assert old.kept["row_id"].equals(new.kept["row_id"])


RECORDS = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(["a", "b", "c"]),
        "completion": st.sampled_from(["x", "y"]),
        "n": st.integers(0, 2),
    }
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(RECORDS, min_size=2, max_size=12), data=st.data())
def test_order_and_partition_into_files_change_no_row(
    tmp_path: Path, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(1, len(rows) - 1))
    for name, part in {"all": rows, "one": order[:cut], "two": order[cut:]}.items():
        (tmp_path / f"{name}.jsonl").write_text(lines(part))
    columns = ["row_id", "messages", "meta"]
    whole = read(tmp_path, "all.jsonl").kept.select(columns)
    assert whole["row_id"].n_unique() == len(rows)
    assert read(tmp_path, "two.jsonl", "one.jsonl").kept.select(columns).equals(whole)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=8))
def test_whatever_stands_in_a_line_it_is_accounted_for(tmp_path: Path, junk: list[bytes]) -> None:
    outcome = one(tmp_path, b"\n".join([json.dumps(ROWS[0]).encode(), *junk]))
    # one line is a row for certain; a line of blanks is none
    counted = 1 + sum(bool(line.decode("utf-8", "surrogateescape").strip()) for line in junk)
    assert outcome.kept.height + outcome.ledger.height == counted


def test_a_glob_finds_every_file_once_and_names_it_below_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "raw" / "deep").mkdir(parents=True)
    for name in ("raw/a.jsonl", "raw/deep/b.jsonl"):
        (tmp_path / name).write_text(lines(ROWS))
    files = find_sources([Source(path="raw/**/*.jsonl"), Source(path=str(tmp_path / "raw/a.jsonl"))], tmp_path)
    assert [file.name for file in files] == ["raw/a.jsonl", "raw/deep/b.jsonl"]
    assert str(tmp_path) not in json.dumps([file.model_dump(mode="json") for file in files])


def test_a_file_behind_a_url_is_read_like_one_on_disk(tmp_path: Path) -> None:
    with fsspec.open("memory://bucket/rows.jsonl", "w") as file:
        file.write(lines(ROWS))
    named, found = read(tmp_path, "memory://bucket/rows.jsonl"), read(tmp_path, "memory://bucket/*.jsonl")
    assert named.kept["source"].unique().to_list() == ["memory://bucket/rows.jsonl"]
    assert found.kept["row_id"].equals(named.kept["row_id"])


def test_a_path_that_finds_nothing_or_too_much_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "rows.jsonl").write_text(lines(ROWS))
    datasets.DatasetDict({name: datasets.Dataset.from_list(ROWS) for name in ("test", "train")}).save_to_disk(
        tmp_path / "both"
    )
    cases: dict[str, list[Any]] = {
        "no file at missing.jsonl": ["missing.jsonl"],
        r"no file at \*\.csv": ["*.csv"],
        "is a folder, but none": ["folder"],
        r"holds several splits \(test, train\)": ["both"],
        "named twice, to be read in two ways": ["rows.jsonl", {"path": "*.jsonl", "format": "alpaca"}],
        "cannot be opened": ["nosuch://bucket/x.jsonl"],
    }
    for told, named in cases.items():
        with pytest.raises(DataError, match=told) as error:
            find_sources([Source.model_validate(source) for source in named], tmp_path)
        assert error.value.todo
    assert read(tmp_path, "both/train").kept.height == 2


def test_a_file_that_changes_after_it_was_found_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(ROWS))
    files = find_sources([Source(path="rows.jsonl")], tmp_path)
    path.write_text(lines(ROWS[:1]))
    with pytest.raises(DataError, match="has changed"):
        ingest(files, IngestSettings())


def test_a_store_that_does_not_answer_is_an_error_that_a_retry_may_heal() -> None:
    unreachable = "http://127.0.0.1:9/rows.jsonl"  # the discard port: nothing listens
    with pytest.raises(AssayError, match="did not answer") as error:
        ingest([RawFile(name=unreachable, digest="0", location=unreachable)], IngestSettings())
    assert type(error.value).__name__ == "OutsideError"


@pytest.mark.parametrize(
    "url", ["https://clerk:hunter2@exports.example/rows.jsonl", "s3://exports/rows.jsonl?sig=hunter2"]
)
def test_a_url_with_a_password_or_a_key_is_refused_and_neither_is_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="a password has no place in a URL") as refused:
        Source(path=url)
    assert "hunter2" not in refused.value.errors(include_input=False)[0]["msg"]


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([codecs.BOM_UTF8, b"\xff", b"\xe2", b"\x82\xac", b"\n", b"\r\n", b"{}", "é😀".encode()]))
)
def test_lines_are_the_same_read_one_by_one_as_split_from_the_whole_text(parts: list[bytes]) -> None:
    data = b"".join(parts)
    whole, each = data.decode("utf-8-sig", "surrogateescape").split("\n"), list(readers._decoded(io.BytesIO(data)))
    assert [
        *each,
        *[""] * (len(whole) - len(each)),
    ] == whole  # what follows the last line break is a blank line, no record


def test_a_file_on_disk_is_read_no_further_than_asked_and_never_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(ROWS) + "x" * (1 << 20))
    (file,) = find_sources([Source(path="rows.jsonl")], tmp_path)
    first = next(records := sources.read(file))
    with path.open("a") as more:
        more.write("later")
    assert first.line == 1
    with pytest.raises(DataError, match="has changed"):
        list(records)


JSON_OBJECTS: dict[str, dict[str, object]] = {
    "by their ids": {"17": ROWS[0], "18": ROWS[1]},
    "by their ids below a key": {"version": 1, "data": {"17": ROWS[0], "18": ROWS[1]}},
    "columns by row, as pandas writes them": {
        name: {str(place): row[name] for place, row in enumerate(ROWS)} for name in ("prompt", "completion")
    },
}


@pytest.mark.parametrize("case", JSON_OBJECTS)
def test_an_object_of_objects_is_read_as_rows(tmp_path: Path, case: str) -> None:
    outcome = one(tmp_path, json.dumps(JSON_OBJECTS[case]), "x.json")
    assert [said[0][1] for said in turns(outcome)] == [row["prompt"] for row in ROWS]
    assert [json.loads(meta).get("id") for meta in outcome.kept.sort("line")["meta"]] == (
        [None, None] if "columns" in case else ["17", "18"]
    )


@pytest.mark.parametrize("kept", ["ids", "splits"])
def test_splits_of_objects_are_not_thrown_together(tmp_path: Path, kept: str) -> None:
    splits = {"train": {"17": ROWS[0]}, "test": {"18": ROWS[1]}}
    with pytest.raises(DataError, match="2 lists of objects: train, test"):
        one(
            tmp_path,
            json.dumps(splits if kept == "ids" else {name: list(v.values()) for name, v in splits.items()}),
            "x.json",
        )


@pytest.mark.parametrize(("name", "header"), [("x.csv", []), ("x.tsv", []), ("x.csv", ["text"]), ("x", ["text"])])
def test_a_table_of_one_column_is_read(tmp_path: Path, name: str, header: list[str]) -> None:
    text = '"### Instruction:\nSay it, twice.\n\n### Response:\nIt; it."\n'
    (tmp_path / name).write_text(text if header else "text\n" + text)
    outcome = read(tmp_path, {"path": name, "header": header})
    assert turns(outcome) == [[("user", "Say it, twice."), ("assistant", "It; it.")]]


def test_the_line_is_that_of_the_file_whatever_stands_in_cells(tmp_path: Path) -> None:
    text = 'sep=;\r\nprompt;completion\r\n"a\r\nb";c\r\n\r\nd;"e\r\n\r\nf"\r\ng;h\r\n'
    assert one(tmp_path, text, "t.csv").kept["line"].sort().to_list() == [3, 6, 9]
    assert one(tmp_path, 'prompt\tcompletion\n\na\t"b\nc\td\n', "t.tsv").kept["line"].sort().to_list() == [3, 4]
