"""Which way imports go: flows -> tasks -> data_contracts, and all of them stand on tasks/core, which stands on nothing
of ours.

Imports inside functions count too: an arrow that turns round at run time has turned round.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("flows", "tasks", "data_contracts", "infra", "tests")
MAY_USE = {
    "tasks/core": {"tasks.core"},
    "data_contracts": {"data_contracts", "tasks.core"},
    "tasks": {"tasks.core", "tasks.training.trainer", "data_contracts"},  # no step imports another step
    "tasks/trainer": {"tasks.core", "tasks.training.trainer"},
    "infra": {"infra", "tasks.core"},
    "flows": {"flows", "tasks", "data_contracts", "infra"},
}


def imported(file: Path) -> Iterator[str]:
    """Every module of ours that a file imports; `from tasks import trainer` is tasks.training.trainer."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in OURS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            yield from ([f"tasks.{name.name}" for name in node.names] if node.module == "tasks" else [node.module])


@pytest.mark.parametrize("folder", MAY_USE)
def test_imports_go_one_way(folder: str) -> None:
    files = sorted((ROOT / folder).glob("*.py" if folder == "tasks" else "**/*.py"))
    allowed = MAY_USE[folder]
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imported(file)
        if not any(module == prefix or module.startswith(f"{prefix}.") for prefix in allowed)
    ]
    assert files
    assert not wrong


def test_a_step_that_imports_another_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "step.py"
    file.write_text(
        "def f():\n from tasks.curation.clean import clean\n from tasks import dedupe, trainer\n import flows.curate\n"
    )
    assert set(imported(file)) == {
        "tasks.curation.clean",
        "tasks.curation.dedupe",
        "tasks.training.trainer",
        "flows.curate",
    }
