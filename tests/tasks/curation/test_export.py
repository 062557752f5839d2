"""Export: what another tool reads is what was curated, and what ingest reads back says the same, row by row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.core.home import digest_path
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import CLASSIFICATION, PREFERENCE, SFT, RowKind
from tasks.curation.export import export
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest
from tasks.data.formats.catalog import writable

FILES = {"openai": ".jsonl", "trl": ".jsonl", "alpaca": ".json", "huggingface": ""}


def rows(*said: dict[str, Any]) -> pl.DataFrame:
    base = {"source": "raw.jsonl", "rejected": None, "weights": None, "meta": "{}", "split": "train"}
    return pl.DataFrame(
        [{"row_id": f"{n:064x}", "line": n, **base, **row} for n, row in enumerate(said, 1)],
        schema={**ROW_SCHEMA, "split": pl.String},
    )


def turns(*texts: str) -> list[dict[str, str]]:
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": roles[text[0]], "content": text[2:]} for text in texts]


def read(folder: Path, kind: RowKind, *names: str) -> pl.DataFrame:
    outcome = ingest(find_sources([Source(path=name) for name in names], folder), IngestSettings(), kind)
    assert outcome.ledger.is_empty()
    return outcome.kept


def by_line(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_openai_jsonl_has_the_weights_on_the_assistants_messages(tmp_path: Path) -> None:
    weighted = {"messages": turns("u:1", "a:2", "u:3", "a:4"), "weights": [0.0, 0.0, 0.0, 1.0]}
    counted = export(rows({"messages": turns("s:B", "u:Hi", "a:Yo")}, weighted), "openai", tmp_path / "out", SFT)
    assert counted == {"train": 2}
    assert by_line(tmp_path / "out/train.jsonl") == [
        {"messages": turns("s:B", "u:Hi", "a:Yo")},
        {
            "messages": [
                {"role": "user", "content": "1"},
                {"role": "assistant", "content": "2", "weight": 0},
                {"role": "user", "content": "3"},
                {"role": "assistant", "content": "4", "weight": 1},
            ]
        },
    ]


def test_tools_that_came_with_openai_rows_go_with_them(tmp_path: Path) -> None:
    tools, pair = (
        {"tools": [{"type": "function", "function": {"name": "a"}}], "parallel_tool_calls": False},
        {"preferred_output": turns("a:Y")},
    )
    raw = {
        "sft": {"messages": turns("u:Hi", "a:Yo"), **tools},
        "preference": {"input": {"messages": turns("u:Hi"), **tools}, **pair, "non_preferred_output": turns("a:N")},
    }
    for kind in (SFT, PREFERENCE):
        (tmp_path / "raw.jsonl").write_text(json.dumps(raw[kind.name]) + "\n")
        export(read(tmp_path, kind, "raw.jsonl"), "openai", tmp_path / kind.name, kind)
        assert by_line(tmp_path / kind.name / "train.jsonl") == [raw[kind.name]]


def test_a_pair_in_every_format_is_what_its_tools_read(tmp_path: Path) -> None:
    pair = rows({"messages": turns("s:B", "u:Hi", "a:Yo"), "rejected": "No"})
    for name in writable():
        export(pair, name, tmp_path / name, PREFERENCE)
    prompt, chosen, rejected = turns("s:B", "u:Hi"), turns("a:Yo"), turns("a:No")
    assert by_line(tmp_path / "openai/train.jsonl") == [
        {"input": {"messages": prompt}, "preferred_output": chosen, "non_preferred_output": rejected}
    ]
    assert by_line(tmp_path / "trl/train.jsonl") == [{"prompt": prompt, "chosen": chosen, "rejected": rejected}]
    assert json.loads((tmp_path / "alpaca/train.json").read_text()) == [
        {"instruction": "Hi", "input": "", "chosen": "Yo", "rejected": "No", "system": "B"}
    ]
    dataset = datasets.load_from_disk(tmp_path / "huggingface")["train"]
    assert dataset[:] == {"prompt": [prompt], "chosen": [chosen], "rejected": [rejected]}


def test_a_labelled_text_is_a_class_label_in_both_splits(tmp_path: Path) -> None:
    ham: dict[str, Any] = {"messages": turns("u:hi", "a:ham"), "split": "validation"}
    said = rows({"messages": turns("u:free", "a:spam")}, ham)
    assert export(said, "huggingface", tmp_path / "out", CLASSIFICATION) == {"train": 1, "validation": 1}
    both = datasets.load_from_disk(tmp_path / "out")
    assert both["train"].features["label"].names == both["validation"].features["label"].names == ["ham", "spam"]
    assert (both["train"][:], both["validation"]["label"][:]) == ({"text": ["free"], "label": [1]}, [0])


def test_trl_jsonl_is_read_by_datasets_as_it_stands(tmp_path: Path) -> None:
    export(rows({"messages": turns("u:Hi", "a:Yo")}), "trl", tmp_path / "out", SFT)
    files = {"train": str(tmp_path / "out/train.jsonl")}
    row = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))["train"][0]
    assert row == {"messages": turns("u:Hi", "a:Yo")}


UNHELD = {
    "alpaca, not one question and one answer": ("alpaca", SFT, {"messages": turns("u:1", "a:2", "u:3", "a:4")}),
    "trl, has weights": ("trl", SFT, {"messages": turns("u:1", "a:2"), "weights": [0.0, 0.0]}),
    "trl, no row of kind preference": ("trl", PREFERENCE, {"messages": turns("u:1", "a:2")}),
    "openai, no row of kind sft": ("openai", SFT, {"messages": turns("u:1", "a:2"), "rejected": "3"}),
    "huggingface, has a system message": ("huggingface", CLASSIFICATION, {"messages": turns("s:1", "u:2", "a:3")}),
    "alpaca, has an empty system message": ("alpaca", SFT, {"messages": turns("s: ", "u:2", "a:3")}),
}


@pytest.mark.parametrize("case", UNHELD)
def test_a_row_that_a_format_cannot_hold_is_named_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    name, kind, row = UNHELD[case]
    with pytest.raises(DataError, match=case.split(", ")[1]) as error:
        export(rows(row), name, tmp_path / "out", kind)
    assert f"{1:064x}"[:12] in error.value.what
    assert error.value.todo
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("name", writable())
def test_the_same_rows_in_any_order_give_the_same_bytes_and_nothing_else_is_overwritten(
    tmp_path: Path, name: Any
) -> None:
    some = rows(*({"messages": turns(f"u:{n}", "a:x"), "split": "validation" if n == 3 else "train"} for n in range(6)))
    for out, given_rows in {"a": some, "b": some.reverse()}.items():
        export(given_rows, name, tmp_path / out, SFT)
    assert digest_path(tmp_path / "a") == digest_path(tmp_path / "b")
    export(some, name, tmp_path / "a", SFT)
    (tmp_path / "file").write_text("")
    for taken in ("a", "file", "file/below"):
        with pytest.raises(DataError, match="cannot be written"):
            export(some.head(2), name, tmp_path / taken, SFT)
    assert digest_path(tmp_path / "a") == digest_path(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "file", "home"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", " ", '[{"role": "user", "content": "x"}]', '{"role": "assistant"}', "a\u2028b\r\n\x00c", '"', "[1]", "{}"]
)
SINGLE = st.tuples(TEXT, TEXT).map(lambda pair: turns(f"u:{pair[0]}", f"a:{pair[1]}"))
NOTHING: list[dict[str, str]] = []
SYSTEM = st.just(NOTHING) | TEXT.map(lambda text: turns(f"s:{text}"))
MANY = st.lists(SINGLE, min_size=1, max_size=3).map(lambda parts: [said for part in parts for said in part])


@st.composite
def curated(draw: st.DrawFn) -> tuple[str, RowKind, pl.DataFrame]:
    """Rows of one kind that the drawn format can hold."""
    name = draw(st.sampled_from(writable()))
    kind = draw(st.sampled_from([SFT, PREFERENCE, CLASSIFICATION]))
    several = SINGLE if name == "alpaca" or kind is CLASSIFICATION else MANY
    system = SYSTEM if name != "alpaca" else st.just(turns("s:Be brief."))
    if kind is CLASSIFICATION and name == "huggingface":
        system = st.just(NOTHING)
    conversation = st.tuples(system, several).map(lambda parts: [*parts[0], *parts[1]])
    said = []
    for messages in draw(st.lists(conversation, min_size=1, max_size=5)):
        row: dict[str, Any] = {"messages": messages, "split": draw(st.sampled_from(["train", "validation"]))}
        if kind is PREFERENCE:
            row["rejected"] = draw(TEXT)
        elif kind is SFT and name in ("openai", "huggingface") and draw(st.booleans()):
            answers = [m["role"] == "assistant" for m in messages]
            weights = [float(answer and draw(st.booleans())) for answer in answers]
            row["weights"] = None if weights == [float(answer) for answer in answers] else weights
        said.append(row)
    return name, kind, rows(*said)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=curated())
def test_what_is_read_back_says_the_same(tmp_path: Path, drawn: tuple[Any, RowKind, pl.DataFrame]) -> None:
    name, kind, given_rows = drawn
    for folder in ("out", "again"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
    splits = export(given_rows, name, tmp_path / "out", kind)
    back = read(tmp_path, kind, *(f"out/{split}{FILES[name]}" for split in splits))
    content = ["messages", "rejected", "weights"]
    ordered = [pl.struct(content).map_elements(lambda row: json.dumps(row, default=str), return_dtype=pl.String)]
    assert sorted(back.select(ordered).to_series()) == sorted(given_rows.select(ordered).to_series())
    again = export(back, name, tmp_path / "again", kind)
    assert read(tmp_path, kind, *(f"again/{split}{FILES[name]}" for split in again))["row_id"].equals(back["row_id"])
