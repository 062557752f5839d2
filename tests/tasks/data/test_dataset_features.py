"""Values of tables are read as they are meant: names of classes, JSON and bytes, however deep, in every kind of file."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Json, List, Value
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.dataset_features import decoders, features_in
from tasks.data.readers import frame_records, read_records
from tasks.data.sources import RawFile, read
from tasks.data.sql import keep_rows
from tasks.data.storage import digest

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": 'Say "yes".', "tool_calls": [{"a": 1}]}]
ROWS: list[dict[str, Any]] = [
    {
        "id": 0,
        "said": "In Oslo.\nTomorrow.",
        "turns": TURNS,
        "label": 1,
        "votes": [0, 1],
        "inside": {"topic": 1, "n": [7]},
    },
    {
        "id": 1,
        "said": {"status": "lost"},
        "turns": TURNS[:1],
        "label": -1,
        "votes": [],
        "inside": {"topic": 0, "n": []},
    },
    {"id": 2, "said": None, "turns": None, "label": None, "votes": None, "inside": None},
    {"id": 3, "said": 7, "turns": [], "label": 0, "votes": [1], "inside": {"topic": None, "n": None}},
]
WEATHER = ClassLabel(names=["rain", "sun"])
FEATURES = Features(
    id=Value("int64"),
    said=Json(),
    turns=List(Json()),
    label=WEATHER,
    votes=List(WEATHER),
    inside={"topic": WEATHER, "n": List(Json())},
)
NAMES = ["rain", "sun", None]
MEANT = [
    {
        **row,
        "label": None if row["label"] is None else NAMES[row["label"]],
        "votes": row["votes"] and [NAMES[vote] for vote in row["votes"]],
        "inside": row["inside"]
        and {name: NAMES[it] if name == "topic" else it for name, it in row["inside"].items() if it is not None},
    }
    for row in ROWS
]


def parquet(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.to_parquet(file)
    return file.getvalue()


def arrow(opened: Callable[..., Any]) -> Callable[[Dataset], bytes]:
    def write(dataset: Dataset) -> bytes:
        table, sink = dataset.data.table.combine_chunks(), pa.BufferOutputStream()
        with opened(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    return write


WRITERS = {"a.parquet": parquet, "a.arrow": arrow(pa.ipc.new_file), "stream.arrow": arrow(pa.ipc.new_stream)}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_datasets_is_read_as_datasets_itself_would(name: str) -> None:
    data = WRITERS[name](Dataset.from_list(ROWS, features=FEATURES))
    assert [record.value for record in read_records(name, data)] == MEANT


def test_a_folder_of_datasets_is_read_the_same_also_where_it_was_shuffled(tmp_path: Path) -> None:
    dataset = Dataset.from_list(ROWS, features=FEATURES)
    dataset.select([2, 0, 3, 1]).save_to_disk(str(tmp_path / "saved"))
    place = str(tmp_path / "saved")
    found = [record.value for record in read(RawFile(name="saved", digest=digest(place, "saved"), location=place))]
    assert found == [MEANT[n] for n in (2, 0, 3, 1)]


def test_json_in_a_column_that_is_text_stays_text() -> None:
    rows = [
        {"prompt": "Write the word yes with its quotes.", "completion": '"yes"'},
        {"prompt": "{}", "completion": "[]"},
    ]
    data = parquet(Dataset.from_list(rows))
    assert [record.value for record in read_records("a.parquet", data)] == rows


def test_an_arrow_json_column_needs_no_word_of_datasets() -> None:
    table = pa.table({"a": pa.array(['{"b": [1, null]}', None, "no json"], pa.json_())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    found = [record.value for record in read_records("a.arrow", bytes(sink.getvalue()))]
    assert found == [{"a": {"b": [1, None]}}, {"a": None}, {"a": "no json"}]


def test_bytes_are_text_and_what_is_no_utf8_can_be_known(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [b"Gr\xc3\xbcn", None, b"\xff\xfe"], "b": [[b"x"], [], None], "c": ["b'x'", "", None]})
    found = [record.value for record in frame_records(frame)]
    assert found == [
        {"a": "Grün", "b": ["x"], "c": "b'x'"},
        {"a": None, "b": [], "c": ""},
        {"a": "\udcff\udcfe", "b": None, "c": None},
    ]


def test_a_blob_of_a_database_is_text_beside_texts_of_the_same_column(tmp_path: Path, home: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table chats (prompt, completion)")
        connection.executemany(
            "insert into chats values (?, ?)", [("a", "Ja, in Grün.".encode()), (b"b", "Nein."), ("c", b"\xff\xfe\xfa")]
        )
    file, _ = keep_rows("select * from chats", f"sqlite:///{tmp_path / 'a.db'}", tmp_path)
    values = [record.value for record in read_records(file.name, file.read_bytes())]
    assert {"prompt": "a", "completion": "Ja, in Grün."} in values
    assert {"prompt": "b", "completion": "Nein."} in values
    (broken,) = (value for value in values if value and value["prompt"] == "c")
    with pytest.raises(UnicodeEncodeError):
        broken["completion"].encode()


@given(
    st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(), lambda inner: st.lists(inner, max_size=3))
)
def test_whatever_json_a_column_holds_comes_back(value: Any) -> None:
    import json

    decode = decoders({"a": pl.String()}, {"a": {"_type": "Json"}})["a"]
    assert decode(json.dumps(value)) == value


def test_a_list_of_structs_as_older_datasets_stored_it_is_decoded_too() -> None:
    stored = pl.Struct({"topic": pl.List(pl.Int64), "n": pl.List(pl.String)})
    written = {"_type": "Sequence", "feature": {"topic": {"_type": "ClassLabel", "names": ["rain", "sun"]}}}
    decode = decoders({"turns": stored}, {"turns": written})["turns"]
    assert decode({"topic": [1, 0, -1], "n": ["a", "b", "c"]}) == {"topic": ["sun", "rain", None], "n": ["a", "b", "c"]}


def test_names_that_stand_in_place_of_their_numbers_stay_and_metadata_of_another_form_is_none() -> None:
    decode = decoders({"a": pl.String()}, {"a": {"_type": "ClassLabel", "names": ["rain", "sun"]}})["a"]
    assert [decode(value) for value in ("sun", 1, -1, None)] == ["sun", "sun", None, None]
    for written in ("{}", "[]", '{"info": null}', '{"info": {"features": []}}'):
        assert features_in({"huggingface": written}) == {}
    assert decoders({"a": pl.Int64()}, {"a": {"_type": "List"}}) == {}


def test_what_a_struct_lacks_is_left_out_and_a_null_of_json_stays() -> None:
    tools = pl.List(pl.Struct({"city": pl.String, "note": pl.String}))
    decode = decoders({"tools": tools}, {"tools": [{"note": {"_type": "Json"}}]})["tools"]
    assert decode([{"city": None, "note": "null"}, {"city": "Bonn", "note": None}]) == [
        {"note": None},
        {"city": "Bonn"},
    ]
