"""A version is asked with the code that it was packaged with, in a process that ends in words or with its parent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml

from tasks.core.code_digest import ROOT
from tasks.core.errors import DataError, OutsideError, RegistrationError
from tasks.metrics.reference import ModelAnswer
from tasks.model.chat_template import Message
from tasks.registry import loaded_version, mlflow_client
from tasks.registry.loaded_version import LoadedVersion, VersionError
from tasks.registry.versions import ARTIFACT, CHAMPION, PREVIOUS, aliases, artifact_digest, ask, download
from tasks.release.promote import check_answers, check_approval, check_evidence, find_candidate, move
from tasks.release.rollback import rollback
from tests.support.command import until
from tests.support.registration import PREDICTIONS, TEXTS, Inputs, another, change, make_inputs, stored

pytestmark = pytest.mark.timeout(600)  # a process that loads all libraries takes seconds, and on a busy machine many
# All files but the adapter and unit.json, of 2026-11-30.
BEFORE = Path(__file__).with_name("version_before_the_rooms.zip")
START = loaded_version.start
QUESTION: list[Message] = [{"role": "user", "content": TEXTS[0]}]
REFUSED: list[Message] = [{"role": "user", "content": "refuse"}]
GENERATE, GENERATE_BEFORE = "code/tasks/model/generation.py", "code/tasks/core/generate.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return tmp_path_factory.mktemp("loaded")


@pytest.fixture(scope="module")
def made(place: Path) -> Inputs:
    with pytest.MonkeyPatch.context() as patch:
        stand_in(place, patch)
        inputs = make_inputs(place)
        inputs.register(checked=2)
        return inputs


def stand_in(place: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ASSAY_HOME", str(place / "home"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'home' / 'mlflow.db'}")
    patch.chdir(place)


@pytest.fixture
def folder(place: Path, made: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The version as downloaded, for this test to change."""
    stand_in(place, monkeypatch)
    return download(mlflow_client.client().get_model_version("shop", "1"), tmp_path / "version")


@pytest.fixture
def as_users_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own and no fork of tests/support/preloaded.py, with our own code on its path, which must not be
    taken.
    """
    monkeypatch.setattr(loaded_version, "start", START)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def truth(inputs: Inputs) -> str:
    answers = inputs.predictions.frame(PREDICTIONS).sort("row_id")["answer"].to_list()
    return str(answers[0])


def test_a_version_whose_packaged_code_was_changed_answers_with_that_code(
    made: Inputs, folder: Path, as_users_start_it: None
) -> None:
    change(
        folder / GENERATE,
        "return Answer(_without_lead(text, self._lead),",
        'return Answer("HERE " + text.strip().upper(),',
    )
    assert ask(folder, [{"messages": QUESTION}]) == [ModelAnswer(f"HERE {truth(made).upper()}")]
    assert not list(folder.rglob("__pycache__"))  # or its files would not be those that were registered


def test_a_file_that_the_version_lacks_does_not_come_from_the_checkout(folder: Path, as_users_start_it: None) -> None:
    (folder / "code/tasks/model/tool_call_syntax.py").unlink()
    with (
        pytest.raises(Exception, match=r"packaged without its module 'tasks\.model\.tool_call_syntax'"),
        LoadedVersion(folder),
    ):
        pass


def test_what_a_library_prints_goes_to_the_log_and_into_no_answer(made: Inputs, folder: Path) -> None:
    printed = 'import os; print("noise"); os.system("echo more noise"); print(input() if 0 else "", flush=True)\n    '
    change(folder / GENERATE, "        end = next(", f"        {printed.strip()}\n        end = next(")
    assert ask(folder, [{"messages": QUESTION}]) == [ModelAnswer(truth(made))]


def test_errors_come_back_as_what_they_are_and_refusals_only_cost_the_question_that_is_refused(
    made: Inputs, folder: Path
) -> None:
    asks = "        try:\n            answers = self.speaker"
    for name, kind in (("refuse", "errors.NewError"), ("away", "errors.OutsideError"), ("broken", "KeyError")):
        raises = f"        if questions[-1][-1]['content'] == '{name}':\n            raise {kind}('no word on it')\n"
        change(folder / "served_model.py", asks, raises + asks)
    change(folder / "served_model.py", "import mlflow\n", "import mlflow\nfrom tasks.core import errors\n")
    packaged = folder / "code/tasks/core/errors.py"
    packaged.write_text(f"{packaged.read_text()}\n\nclass NewError(DataError):\n    pass\n")  # which nobody knows here
    with LoadedVersion(folder) as version:
        given = version.answers_or_reasons(
            [(QUESTION, None), (REFUSED, None), ([{"role": "tool", "content": "x"}], None)]
        )
        assert given[:2] == [(ModelAnswer(truth(made)), None), (None, "no word on it")]
        assert given[2][0] is None
        with pytest.raises(DataError, match="no word on it"):
            version.answers([REFUSED], [None])
        with pytest.raises(OutsideError):
            version.answers_or_reasons([([{"role": "user", "content": "away"}], None)])
        with pytest.raises(VersionError, match=r"failed with KeyError: 'no word on it'\. Its last words:"):
            version.answers_or_reasons([([{"role": "user", "content": "broken"}], None)])
        assert version.answers([QUESTION], [None]) == [ModelAnswer(truth(made))]
    (folder / "artifacts/adapter/adapter_config.json").write_text("{}")
    with pytest.raises(RegistrationError, match="its files have changed since") as caught, LoadedVersion(folder):
        pass
    assert caught.value.todo == "run the recipe again: its files are written anew"


def test_a_process_that_is_killed_in_the_middle_of_an_answer_is_an_error_in_words(folder: Path) -> None:
    asks = "        try:\n            answers ="
    change(folder / "served_model.py", asks, f"        os.kill(os.getpid(), 9)\n{asks}")
    with LoadedVersion(folder) as version, pytest.raises(VersionError, match=r"ended by SIGKILL .*out of memory"):
        version.answers_or_reasons([(QUESTION, None)])
    change(folder / "served_model.py", "os.kill(os.getpid(), 9)", "os._exit(3)")
    with LoadedVersion(folder) as version:
        with pytest.raises(VersionError, match="ended with exit code 3"):
            version.answers([QUESTION], [None])
        with pytest.raises(VersionError, match="ended with exit code 3"):
            version.answers([QUESTION], [None])


def test_it_has_as_many_threads_as_this_process(folder: Path) -> None:
    import torch

    change(
        folder / "served_model.py",
        'told: dict[str, list[Any]] = {"answer": [answer.text',
        """
        import torch
        told: dict[str, list[Any]] = {"answer": [str(torch.get_num_threads())""",
    )
    assert torch.get_num_threads() == 1
    assert ask(folder, [{"messages": QUESTION}]) == [ModelAnswer("1")]


def test_it_ends_when_its_parent_is_killed_even_in_the_middle_of_an_answer(folder: Path) -> None:
    change(
        folder / "served_model.py",
        "        try:\n            answers =",
        """\
        Path("answering").write_text(str(os.getpid()))
        import time
        time.sleep(600)
        try:
            answers =""",
    )
    code = (
        "import sys; from pathlib import Path; from tasks.registry.versions import ask; ask(Path(sys.argv[1]), "
        f"[{{'messages': {QUESTION!r}}}])"
    )
    mark = Path("answering")
    mark.unlink(missing_ok=True)
    parent = subprocess.Popen([sys.executable, "-c", code, str(folder)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    until(lambda: parent.poll() is not None or (mark.exists() and mark.read_text()), "the question to arrive")
    child = int(mark.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not psutil.pid_exists(child), "the end of its child")


def make_old(inputs: Inputs, version: int) -> None:
    """Make a registered version one that was registered before the move: its files are as that
    day's code wrote them.
    """
    there = stored(inputs.name, version)
    now = yaml.safe_load((there / "MLmodel").read_text())
    for path in there.iterdir():
        if path.name != "artifacts":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with zipfile.ZipFile(BEFORE) as old:
        old.extractall(there)
    then = yaml.safe_load((there / "MLmodel").read_text())
    same = {key: now[key] for key in ("run_id", "model_id", "model_uuid")}
    (there / "MLmodel").write_text(yaml.safe_dump({**then, **same}))
    mlflow_client.client().set_model_version_tag(inputs.name, str(version), ARTIFACT, artifact_digest(there))


def test_a_version_from_before_the_move_of_files_is_asked_promoted_and_rolled_back_to(
    folder: Path, made: Inputs
) -> None:
    old = replace(made, name="old")
    for inputs in (old, another(old, seed=2)):
        inputs.register(checked=2)
    make_old(old, 1)
    promoted(1, 2)
    promoted(2, 2)
    assert rollback("old", "as good as before").champion == 1
    there = aliases(mlflow_client.client(), "old")
    assert (there[CHAMPION], there.get(PREVIOUS)) == (1, None)
    change(stored("old", 1) / GENERATE_BEFORE, "text.strip()", "text.strip().upper()")
    told = download(mlflow_client.client().get_model_version("old", "1"), folder.parent / "again")
    assert ask(told, [{"messages": QUESTION}]) == [ModelAnswer(truth(made).upper())]


def promoted(version: int, answers: int) -> None:
    candidate = find_candidate("old", version)
    evidence = check_evidence(candidate)
    given = check_answers(candidate, evidence)
    assert given == answers
    move(candidate, evidence, check_approval(candidate, True), "better", given)


def test_a_version_whose_unit_was_changed_is_not_served(folder: Path) -> None:
    change(folder / "artifacts" / "unit.json", '"max_new_tokens": 12', '"max_new_tokens": 11')
    with pytest.raises(RegistrationError, match=r"unit\.json has changed since"):
        ask(folder, [{"messages": QUESTION}])
