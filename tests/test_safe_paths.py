"""Other people's `tasks.py`, `flows/` and `infra.py` in the working directory, or on PYTHONPATH, are not taken for
ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.code_digest import ROOT
from tasks.core.process.child import child_environment
from tasks.model.chat_template import PromptSettings
from tasks.training.methods.sft import SftSettings
from tasks.training.train import train
from tasks.training.weights.lora import LoraSettings
from tests.support.training import base_handle, dataset_handle, place, rows

NOT_OURS = "import pathlib\npathlib.Path(__file__ + '.ran').touch()\nraise SystemExit('this is not ours')\n"
USER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from flows.servers import embedded, environment
environment.prepare()
server = embedded.join(embedded.PREFECT)
server.wait()
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with modules of our names, and another such package on PYTHONPATH; the
    trap is seen to work.
    """
    folder, package = tmp_path / "elsewhere", tmp_path / "path" / "tasks"
    for file in (folder / "tasks.py", folder / "flows/__init__.py", folder / "infra.py", package / "__init__.py"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(NOT_OURS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), str(ROOT)]))
    for command in (["-c", "import tasks"], ["-P", "-c", "import tasks"], ["-m", "flows.servers.embedded"]):
        assert "this is not ours" in run(*command).stderr
    for mark in tmp_path.rglob("*.ran"):
        mark.unlink()
    return tmp_path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=200)


def taken(folder: Path) -> list[str]:
    """Which of the modules that are not ours were run."""
    return [mark.name for mark in folder.rglob("*.ran")]


def test_a_training_starts_from_there(elsewhere: Path) -> None:
    given = {"base": base_handle(elsewhere / "base"), "dataset": dataset_handle(elsewhere / "dataset", rows(4))}
    settings = SftSettings(epochs=1, batch_rows=4, threads=1, weights=LoraSettings(rank=4))
    made = train(place(elsewhere / "work"), settings=settings, prompt=PromptSettings(system="Triage."), **given)
    assert made.told["actual"]["steps"] == 1
    assert not taken(elsewhere)


def test_the_keeper_of_a_server_starts_from_there(
    elsewhere: Path, home: Path, prefect_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(prefect_database, home / "prefect.db")
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    done = run("-P", "-c", USER)
    assert (done.returncode, done.stderr) == (0, "")
    assert not taken(elsewhere)


def test_the_command_starts_from_there(elsewhere: Path) -> None:
    for command in (
        ["-m", "assay"],
        [str(ROOT / "assay.py")],
        ["-P", "-c", "import sys, assay; sys.exit(assay.main())"],
    ):
        done = run(*command, "--help")
        assert (done.returncode, "the model registry out" in done.stdout) == (0, True), done.stderr
    assert not taken(elsewhere)


def test_what_was_on_pythonpath_stays_behind_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/a", str(ROOT), "/b"]))
    assert child_environment()["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/a", "/b"]
    monkeypatch.delenv("PYTHONPATH")
    assert child_environment()["PYTHONPATH"] == str(ROOT)
