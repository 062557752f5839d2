from __future__ import annotations

import os
import sqlite3
import zipfile
from pathlib import Path

import pytest

from data_contracts.contract import read_contract
from flows.run.parameters import recipe_from_form
from flows.score import check_target
from tasks.core.errors import RecipeError
from tasks.curation.filters.custom import find_rules
from tasks.data.sources import Source, find_sources
from tasks.model.base_model import BaseModelSettings, find_model
from tests.support.little_recipe import little_recipe

ROW = '{"prompt": "a", "completion": "b"}\n'
TOLD = "outside the folders that runs here may use"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder that is allowed; beside it lies what must not be reached."""
    folder = tmp_path / "allowed"
    folder.mkdir()
    secret = tmp_path / "secret.jsonl"
    secret.write_text(ROW)
    (tmp_path / "contract.yaml").write_text("extends: sft\n")
    (tmp_path / "rules.py").write_text("def rule(row):\n    return None\n")
    (tmp_path / "model").mkdir()
    (folder / "link.jsonl").symlink_to(secret)
    (folder / "here.jsonl").write_text(ROW)
    with zipfile.ZipFile(tmp_path / "secret.zip", "w") as archive:
        archive.writestr("secret.jsonl", ROW)
    with sqlite3.connect(tmp_path / "secret.db") as database:
        database.execute("CREATE TABLE rows (prompt TEXT, completion TEXT)")
    monkeypatch.setenv("ASSAY_RECIPES", f"{tmp_path / 'none'}{os.pathsep}{folder}")
    return folder


OUTSIDE = (
    "../secret.jsonl",
    "../secret.*",
    "link.jsonl",
    "l*.jsonl",
    "{parent}/secret.jsonl",
    "file://{parent}/secret.jsonl",
    "zip://secret.jsonl::{parent}/secret.zip",
    "simplecache::file://{parent}/secret.jsonl",
)


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_data_path_does_not_leave_the_folder(inside: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Source(path=path.format(parent=inside.parent))]
    with pytest.raises(RecipeError, match=TOLD) as told:
        find_sources(sources, inside)
    assert str(inside) in told.value.allowed
    monkeypatch.delenv("ASSAY_RECIPES")
    assert find_sources(sources, inside)


def test_a_data_path_in_the_folder_is_read(inside: Path) -> None:
    assert [file.name for file in find_sources([Source(path="h*.jsonl")], inside)] == ["here.jsonl"]


def test_nothing_else_that_a_recipe_or_a_form_names_leaves_the_folder(inside: Path) -> None:
    source = Source(sql="SELECT * FROM rows", database="sqlite:///../secret.db")
    tries = (
        lambda: find_sources([source], inside),
        lambda: read_contract("../contract.yaml", inside),
        lambda: find_rules(("../rules.py:rule",), inside),
        lambda: find_model(BaseModelSettings(source="../model"), inside),
        lambda: check_target(inside.parent / "answers.parquet"),
    )
    for one in tries:
        with pytest.raises(RecipeError, match=TOLD):
            one()
    assert check_target(inside / "answers.parquet")


def test_a_recipe_is_run_from_the_folder_only_and_an_installed_one_always(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = little_recipe(inside / "mine"), little_recipe(inside.parent / "theirs")
    assert recipe_from_form("support_triage").name == recipe_from_form("support_triage", "").name
    assert recipe_from_form("support_triage", str(mine)).name == "little"
    for path in (theirs, inside / ".." / "theirs" / "little.yaml"):
        with pytest.raises(RecipeError, match=TOLD):
            recipe_from_form("support_triage", str(path))
    decided = little_recipe(inside / "mine", "other", review={"decisions": "../../decided.jsonl"})
    with pytest.raises(RecipeError, match=TOLD):
        assert recipe_from_form("support_triage", str(decided)).decisions
    monkeypatch.delenv("ASSAY_RECIPES")
    assert recipe_from_form("support_triage", str(theirs)).name == "little"
