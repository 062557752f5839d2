"""Promotion on the stack's own MLflow, PostgreSQL and artifact store: two at once, and what a
server answers after it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.settings import CODE
from tasks.registry import mlflow_client
from tasks.registry.promotion_ledger import read
from tasks.registry.versions import CHAMPION, PREVIOUS, aliases
from tests.stack.stacks import Stack
from tests.support.registration import another, make_inputs
from tests.support.serving import post, serving

MODEL = "shop"
ROUNDS = 5
# A promotion up to its decision; then it waits for a line of its input. Says which version it is about, and how it
# ended.
RACER = """
import sys
from tasks.registry.promotion_ledger import OvertakenError
from tasks.release.promote import check_answers, check_approval, check_evidence, find_candidate, move
candidate = find_candidate(sys.argv[1], int(sys.argv[2]))
evidence = check_evidence(candidate)
answers = check_answers(candidate, evidence)
print("ready", flush=True)
sys.stdin.readline()
try:
    move(candidate, evidence, check_approval(candidate, True), "race", answers)
    print("won", candidate.number)
except OvertakenError as error:
    print("overtaken", error)
"""
QUESTION = {"dataframe_records": [{"message": "Where is my parcel?"}]}

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home; three versions, each of which passed its gate and answers in its own way."""
    place = tmp_path_factory.mktemp("promotion")
    with pytest.MonkeyPatch.context() as patch:
        come_in(stack, place, patch)
        first = replace(make_inputs(place), name=MODEL)
        for inputs in (first, another(first, seed=2), another(first, seed=3)):
            inputs.register(checked=2)
    return place


@pytest.fixture
def registered(stack: Stack, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, and the stack's MLflow for this test, which tests/conftest.py has given one of its own."""
    come_in(stack, place, monkeypatch)
    return place


def come_in(stack: Stack, place: Path, patch: pytest.MonkeyPatch) -> None:
    for name, value in {**stack.client(), "ASSAY_HOME": str(place / "home"), "OMP_NUM_THREADS": "1"}.items():
        patch.setenv(name, value)


def racer(version: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RACER, MODEL, str(version)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CODE,
    )


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate("\n", timeout=120)
    assert process.returncode == 0
    return said.strip()


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_of_two_promotions_at_once_one_wins_and_the_other_says_so_and_has_moved_nothing(
    registered: Path, turn: int
) -> None:
    client = mlflow_client.client()
    entries, champion = len(read(client, MODEL).entries), aliases(client, MODEL).get(CHAMPION, 0)
    racers = [racer(version) for version in [number for number in (1, 2, 3) if number != champion][:2]]
    for process in racers:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in racers:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    won, lost = sorted((finish(process) for process in racers), reverse=True)
    number = int(won.removeprefix("won "))
    assert lost.startswith("overtaken")
    assert f"champion is version {number}" in lost
    after = read(client, MODEL)
    assert len(after.entries) == entries + 1
    assert (after.entries[-1].was, after.champion) == (champion, number)
    there = aliases(client, MODEL)
    assert (there[CHAMPION], there.get(PREVIOUS, 0)) == (number, champion)


def assay(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "assay", *words], capture_output=True, text=True, cwd=CODE, timeout=580
    )


def answer(url: str) -> Any:
    status, body = post(url, QUESTION)
    assert status == 200, body
    return body["predictions"][0]["answer"]


def test_a_server_of_the_champion_answers_as_the_new_one_after_a_restart_and_not_before(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = aliases(mlflow_client.client(), MODEL)[CHAMPION]
    other = champion % 3 + 1
    said = {version: loaded(version, monkeypatch) for version in (champion, other)}
    assert said[champion] != said[other]
    with serving(f"models:/{MODEL}@{CHAMPION}", registered / "before.log") as url:
        assert answer(url) == said[champion]
        done = assay("promote", MODEL, "--version", str(other), "--approve", "--reason", "it answers better")
        assert done.returncode == 0, done.stdout + done.stderr
        assert answer(url) == said[champion]
    with serving(f"models:/{MODEL}@{CHAMPION}", registered / "after.log") as url:
        assert answer(url) == said[other]


def loaded(version: int, patch: pytest.MonkeyPatch) -> str:
    """What a version answers, loaded by its number."""
    import mlflow

    patch.setattr(sys, "path", list(sys.path))
    answers = mlflow.pyfunc.load_model(f"models:/{MODEL}/{version}").predict(QUESTION["dataframe_records"])
    return str(answers["answer"][0])
