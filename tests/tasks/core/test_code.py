"""A step's code digest follows its own modules and nothing else, and costs no import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core import code


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository: step -> helper (lazily) -> words; a template; a trainer that runs as a program."""
    files = {
        "tasks/__init__.py": "",
        "tasks/core/__init__.py": "",
        "tasks/core/helper.py": "from tasks.core.words import WORD\n",
        "tasks/core/words.py": "from tasks.core import helper\nWORD = 1\n",
        "tasks/core/stranger.py": "X = 1\n",
        "tasks/step.py": 'import polars\ndef step():\n    from tasks.core import helper\n    return "templates"\n',
        "tasks/templates/page.html": "<p>",
        "tasks/train.py": "from tasks import trainer\n",
        "tasks/trainer/__init__.py": "",
        "tasks/trainer/__main__.py": "import tasks.trainer.loop\n",
        "tasks/trainer/loop.py": "raise RuntimeError('imported')\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    return tmp_path


def digest(module: str) -> str:
    code.code_digest.cache_clear()
    return code.code_digest(module)


@pytest.fixture(autouse=True)
def fresh() -> None:
    code.code_digest.cache_clear()


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("tasks.step", "tasks/step.py"),
        ("tasks.step", "tasks/core/helper.py"),  # imported inside a function
        ("tasks.step", "tasks/core/words.py"),  # imported by what is imported, in a circle
        ("tasks.step", "tasks/templates/page.html"),
        ("tasks.train", "tasks/trainer/loop.py"),  # runs in another process, imported by nobody here
    ],
)
def test_a_change_that_a_step_depends_on_changes_its_digest(tree: Path, module: str, file: str) -> None:
    before = digest(module)
    assert digest(module) == before
    (tree / file).write_text((tree / file).read_text() + "\n# changed\n")
    assert digest(module) != before


@pytest.mark.parametrize("file", ["tasks/core/stranger.py", "tasks/train.py", "tasks/trainer/loop.py"])
def test_a_change_elsewhere_does_not(tree: Path, file: str) -> None:
    before = digest("tasks.step")
    (tree / file).write_text("# changed\n")
    assert digest("tasks.step") == before


def test_the_real_steps_count_their_trainer_and_their_template() -> None:
    train: dict[str, str] = {}
    report: dict[str, str] = {}
    code._collect("tasks.train", train)
    code._collect("tasks.report", report)
    assert {"tasks.trainer.__main__", "tasks.trainer.loop", "tasks.core.chat"} <= set(train)
    assert "tasks.report: templates" in report
    assert "tasks.trainer.loop" not in report


def test_a_digest_imports_nothing_heavy() -> None:
    ask = "import sys; from tasks.core.code import code_digest; code_digest('tasks.train'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip() == "False"
