"""A step's code digest follows what runs of its own modules and nothing else, and costs no import."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core import code_digest


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository: step -> helper (lazily) -> words; a template; a trainer that runs as a program."""
    files = {
        "tasks/__init__.py": "",
        "tasks/core/__init__.py": "",
        "tasks/core/helper.py": "from tasks.core.words import WORD\n",
        "tasks/core/words.py": "from tasks.core import helper\nWORD = 1\n",
        "tasks/core/stranger.py": "X = 1\n",
        "tasks/rooms/__init__.py": "from .corner import CHAIR\n",
        "tasks/rooms/corner.py": "CHAIR = 1\n",
        "tasks/rooms/chest/__init__.py": "",
        "tasks/rooms/chest/drawer.py": "from .. import corner\n",
        "tasks/step.py": 'import polars\ndef step():\n    from tasks.core import helper\n    return "templates"\n',
        "tasks/templates/page.html": "<p>",
        "tasks/training/train.py": "from tasks.training import trainer\n",
        "tasks/named.py": "from tasks.rooms import CHAIR\n",
        "tasks/inner.py": "from tasks.rooms.chest.drawer import *\n",
        "tasks/training/trainer/__init__.py": "",
        "tasks/training/trainer/__main__.py": "import tasks.training.trainer.loop\n",
        "tasks/training/trainer/loop.py": "raise RuntimeError('imported')\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code_digest, "ROOT", tmp_path)
    return tmp_path


def digest(module: str) -> str:
    code_digest.code_digest.cache_clear()
    return code_digest.code_digest(module)


@pytest.fixture(autouse=True)
def fresh() -> None:
    code_digest.code_digest.cache_clear()


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("tasks.step", "tasks/step.py"),
        ("tasks.step", "tasks/core/helper.py"),  # imported inside a function
        ("tasks.step", "tasks/core/words.py"),  # imported by what is imported, in a circle
        ("tasks.step", "tasks/templates/page.html"),
        ("tasks.training.train", "tasks/training/trainer/loop.py"),  # runs in another process, imported by nobody here
        ("tasks.named", "tasks/rooms/__init__.py"),  # a name of a package, not a module in it
        ("tasks.named", "tasks/rooms/corner.py"),
        ("tasks.inner", "tasks/rooms/__init__.py"),  # runs when anything in it is imported
        ("tasks.inner", "tasks/rooms/corner.py"),
    ],
)
def test_a_change_that_a_step_depends_on_changes_its_digest(tree: Path, module: str, file: str) -> None:
    before = digest(module)
    assert digest(module) == before
    (tree / file).write_text((tree / file).read_text() + "\nCHANGED = True\n")
    assert digest(module) != before


@pytest.mark.parametrize(
    "file", ["tasks/core/stranger.py", "tasks/training/train.py", "tasks/training/trainer/loop.py"]
)
def test_a_change_elsewhere_does_not(tree: Path, file: str) -> None:
    before = digest("tasks.step")
    (tree / file).write_text("CHANGED = True\n")
    assert digest("tasks.step") == before


SAME = {
    "a comment": "import polars  # for its frames\ndef step():\n    from tasks.core import helper\n    return 'templates'\n",
    "a docstring": '"""A step."""\nimport polars\ndef step():\n    """Do it."""\n    from tasks.core import helper\n'
    '    return "templates"\n',
    "layout": "import polars\n\n\ndef step():\n\n    from tasks.core import (\n        helper,\n    )\n"
    '    return ("templates")\n',
    "what only the type checker imports": "import polars\nif TYPE_CHECKING:\n    from tasks.core import stranger\n"
    "def step():\n    from tasks.core import helper\n    return 'templates'\n",
}


@pytest.mark.parametrize("change", SAME)
def test_what_does_not_run_does_not_count(tree: Path, change: str) -> None:
    before = digest("tasks.step")
    (tree / "tasks/step.py").write_text(SAME[change])
    assert digest("tasks.step") == before


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("X = 1", "X = 2"),
        ("X = 1", "X = 1.0"),
        ("X = 1", "X = True"),
        ("X = 'a'", "X = b'a'"),
        ("X = a + b", "X = a - b"),
        ("def f(a, b=1): ...", "def f(a, *, b=1): ..."),
        ("X = None", "X = 0"),
        ("X = []", "X = ()"),
        ("f(x)", "f(*x)"),
        ("def f():\n    return", "def f():\n    return 'a docstring'"),
        ("X = f'{a}'", "X = f'{a!r}'"),
        ("X: int", "X: str"),
        ("if not TYPE_CHECKING:\n    X = 1", "if not TYPE_CHECKING:\n    X = 2"),
        ("if TYPE_CHECKING:\n    X = 1\nelse:\n    X = 2", "if TYPE_CHECKING:\n    X = 1\nelse:\n    X = 3"),
    ],
)
def test_the_smallest_change_of_what_runs_counts(tree: Path, was: str, now: str) -> None:
    (tree / "tasks/core/words.py").write_text(was)
    before = digest("tasks.step")
    (tree / "tasks/core/words.py").write_text(now)
    assert digest("tasks.step") != before


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real code, to be changed."""
    for package in code_digest.OWN:
        shutil.copytree(code_digest.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_digest, "ROOT", tmp_path)
    return tmp_path


def test_no_comment_and_no_docstring_of_a_real_step_changes_its_key(checkout: Path) -> None:
    before = digest("tasks.training.train")
    for file in code_digest.code_files("tasks.training.train").values():
        text = re.sub(r'^( *)"""(?=\w)', r'\1"""Said otherwise: ', file.read_text(), flags=re.MULTILINE)
        file.write_text(re.sub(r"^( *)# ", r"\1# Said otherwise: ", text, flags=re.MULTILINE) + "# The end.\n")
        assert "Said otherwise" in text or len(text) < 100
    assert digest("tasks.training.train") == before


def test_a_line_of_any_file_that_a_real_step_uses_changes_its_key_and_no_other_line_does(checkout: Path) -> None:
    used = set(code_digest.code_files("tasks.evaluation.gate").values())
    others = {
        checkout / "tasks/core/step.py",
        checkout / "tasks/training/train.py",
        checkout / "data_contracts/contract.py",
    }
    before = digest("tasks.evaluation.gate")
    for file in used | others:
        text = file.read_text()
        file.write_text(f"{text}\nCHANGED = True\n")
        assert (digest("tasks.evaluation.gate") != before) is (file in used), file
        file.write_text(text)
    assert others.isdisjoint(used)
    assert len(used) > 5


def test_the_wrapper_around_a_work_step_is_no_part_of_its_key() -> None:
    for step in (
        "tasks.training.train",
        "tasks.evaluation.gate",
        "tasks.evaluation.predict",
        "tasks.evaluation.evaluate",
        "tasks.evaluation.report",
        "tasks.release.register",
    ):
        assert not {"tasks.core.step", "tasks.core.process.progress", "tasks.core.decisions"} & set(
            code_digest.code_files(step)
        ), step


def test_the_real_steps_count_their_trainer_and_their_template() -> None:
    train, report = code_digest.code_files("tasks.training.train"), code_digest.code_files("tasks.evaluation.report")
    assert {"tasks.training.trainer.__main__", "tasks.training.trainer.loop", "tasks.model.chat_template"} <= set(train)
    assert "tasks.evaluation.report: templates" in report
    assert "tasks.training.trainer.loop" not in report


def test_a_module_of_ours_that_is_not_there_has_no_digest() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tasks\.gone"):
        digest("tasks.gone")


def test_a_digest_imports_nothing_heavy() -> None:
    ask = (
        "import sys; from tasks.core.code_digest import code_digest; code_digest('tasks.training.train'); "
        "print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
