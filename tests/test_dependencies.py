"""What the code imports is declared in pyproject.toml: what another library happens to bring may go with its next
version.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("flows", "tasks", "data_contracts", "infra")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {"infra": "infra"}  # by folder, what it may use besides


def imported(source: str) -> Iterator[str]:
    """The libraries that a source imports, those included that it imports in a function."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names - {*OURS, "_typeshed"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {normal(re.split(r"[^\w.-]", line)[0]) for line in lines}


@pytest.mark.parametrize("folder", OURS)
def test_every_library_that_is_imported_is_declared(folder: str) -> None:
    known = declared(*filter(None, [EXTRAS.get(folder)]))
    brought_by = packages_distributions()
    files = sorted((ROOT / folder).rglob("*.py"))
    used = {name: file.name for file in files for name in imported(file.read_text("utf-8"))}
    brought = {name: {normal(one) for one in brought_by.get(name, [name])} for name in used}
    missing = {name: file for name, file in used.items() if not known & brought[name]}
    assert used
    assert not missing


def test_what_is_imported_is_seen_wherever_it_stands() -> None:
    assert set(
        imported("import os, numpy.linalg\ndef f():\n from scipy.stats import norm\n from tasks import core\n")
    ) == {
        "numpy",
        "scipy",
    }
