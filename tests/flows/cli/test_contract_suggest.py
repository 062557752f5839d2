"""Drafting a contract from what people have: an export, a curated dataset, a recipe's."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from data_contracts.contract import read_contract
from flows.cli.contract_suggest import suggest_for_dataset, suggest_for_file
from flows.recipe import load_recipe
from tasks.core.errors import DataError
from tasks.core.handle import CURATED, Handle
from tasks.core.home import digest_path, home
from tasks.core.row import ROW_SCHEMA

REPLY = "We look into it and write to you today."
INTENTS = ("order_status", "other", "other")
PAIRS = [
    (f"Where is parcel {n} of {n * n}?", json.dumps({"intent": INTENTS[n % 3], "urgency": "low", "reply": REPLY}))
    for n in range(40)
]


def canonical() -> pl.DataFrame:
    rows = [
        {
            "row_id": f"{n:064x}",
            "source": "raw.jsonl",
            "line": n + 1,
            "meta": "{}",
            "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}],
        }
        for n, (prompt, answer) in enumerate(PAIRS)
    ]
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


def test_an_export_and_a_curated_dataset_of_the_same_rows_have_the_same_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pl.DataFrame([{"prompt": p, "completion": a} for p, a in PAIRS]).write_ndjson("my export.jsonl")
    canonical().write_parquet("curated.parquet")
    raw, curated = suggest_for_file("my export.jsonl"), suggest_for_file(str(tmp_path / "curated.parquet"))
    assert "from 40 rows of my export.jsonl" in " ".join(raw.split())
    assert yaml.safe_load(raw)["name"] == "my_export"
    assert yaml.safe_load(raw)["expectations"] == yaml.safe_load(curated)["expectations"]
    assert str(tmp_path) not in curated


def test_of_a_recipe_its_schema_and_its_label_are_known(tmp_path: Path) -> None:
    folder = home() / "artifacts" / "account" / "one"
    folder.mkdir(parents=True)
    canonical().write_parquet(folder / CURATED)
    dataset = Handle.of(folder, step="account", kind="dataset", digest=digest_path(folder), rows=len(PAIRS))
    (tmp_path / "draft.yaml").write_text(suggest_for_dataset(load_recipe("support_triage"), dataset))
    contract = read_contract("draft.yaml", tmp_path)
    (labels,) = [e for e in contract.expectations if e.name.endswith("to_be_in_set") and e.columns == ("label",)]
    assert contract.name == "support-triage"
    assert labels.arguments["value_set"] == ["order_status", "other"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        suggest_for_file(str(tmp_path / "nothing.jsonl"))
