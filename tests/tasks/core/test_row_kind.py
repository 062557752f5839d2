"""One table says what holds of each kind of rows, and nothing else spells the kinds out."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest

from data_contracts.contract import read_contract
from tasks.core.row_kind import KINDS, PREFERENCE, SFT, KindName, RowKind
from tasks.core.step_cache import work_key
from tasks.curation.dedupe import dedupe
from tasks.metrics.answer_schema import AnswerSettings

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "tasks" / "core" / "row_kind.py"
FOLDERS = ("tasks", "flows", "data_contracts", "infra")

METHODS = ROOT / "tasks/training/methods"  # where sft is the name of a method


def names_in(source: str) -> Iterator[int]:
    """The lines of a source on which the name of a kind stands as a text of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in KINDS:
            yield node.lineno


def test_no_code_but_the_table_spells_a_kind_out() -> None:
    every = (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))
    files = [file for file in every if file != TABLE and METHODS not in file.parents]
    found = [
        f"{file.relative_to(ROOT)}:{line}" for file in files for line in names_in(file.read_text(encoding="utf-8"))
    ]
    assert len(files) > 100
    assert not found, "ask a property of the kind (tasks/core/row_kind.py)"


def test_a_name_that_is_spelled_out_would_be_seen() -> None:
    assert list(
        names_in('"""sft"""\nif kind.name == "sft":\n    pass\n# "preference"\nx = f"{y} classification"\n')
    ) == [1, 2]


def test_the_table_has_a_line_for_every_name_that_a_recipe_may_say() -> None:
    assert tuple(KINDS) == get_args(KindName)


def test_every_kind_has_a_contract_of_its_name() -> None:
    assert {name: read_contract(name).kind for name in KINDS} == {name: name for name in KINDS}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_holds_of_a_kind_goes_together(kind: RowKind) -> None:
    assert not kind.answer_is_label or kind.has_label
    assert not (kind.answer_is_label and (kind.is_conversation or kind.has_rejected))
    assert not (kind.is_conversation and kind.has_rejected)  # of a conversation's many answers, which one is worse?


def test_every_property_tells_kinds_apart() -> None:
    for property in fields(RowKind):
        assert len({getattr(kind, property.name) for kind in KINDS.values()}) > 1, property.name


def test_a_kind_is_part_of_a_steps_key_with_all_that_holds_of_it() -> None:
    changed = replace(PREFERENCE, compared_by="prompt")
    keys = {work_key("dedupe", dedupe, AnswerSettings(), {"kind": kind}) for kind in (*KINDS.values(), changed)}
    assert len(keys) == 4
    assert work_key("dedupe", dedupe, AnswerSettings(), {"kind": replace(SFT)}) in keys


def test_the_command_line_reads_the_table_without_a_heavy_library() -> None:
    heavy = "{'pydantic', 'polars', 'numpy', 'prefect'}"
    code = (
        f"import sys, flows.cli.main; assert 'tasks.core.row_kind' in sys.modules; print(sorted({heavy} & "
        f"sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "[]"
