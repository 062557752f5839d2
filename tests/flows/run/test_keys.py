"""A recipe whose data lies behind a key, run as a person runs it: the key is in nothing that is
kept, and in no word.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import polars as pl
import pytest

from flows.cli import main
from tests.support.command import Ended, Work
from tests.support.keyed_server import KEY, NEXT_KEY, keyed
from tests.support.little_recipe import little_recipe

pytestmark = pytest.mark.timeout(600)
SECRETS = ("hunter2", "hunter3")


@pytest.fixture(scope="module")
def host(little: Path) -> Iterator[str]:
    with keyed(little.parent / "raw") as host:
        yield host


@pytest.fixture(scope="module")
def recipe(little: Path) -> Path:
    data = {"train": ["env:DESK", "raw/legacy.csv"], "holdout": ["holdout.jsonl"], "edge_cases": ["edge_cases.jsonl"]}
    return little_recipe(little.parent, "keyed", data=data)


@pytest.fixture(scope="module")
def trained(work: Work, recipe: Path, host: str, server: TextIO, mlflow_database: Path) -> Ended:
    shutil.copyfile(mlflow_database, work.home / "mlflow.db")
    return work.run("run", recipe, DESK=f"http://{host}/desk.jsonl?key={KEY}")


@pytest.fixture
def here(
    work: Work, as_it_was: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, Path | str], Ended]:
    """A command that needs no server, in this process and for the same home: to start one takes seconds."""
    monkeypatch.setenv("ASSAY_HOME", str(work.home))

    def run(command: str, data: Path | str) -> Ended:
        code = main.main([*command.split(), str(data)])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def kept(home: Path) -> Iterator[tuple[str, str]]:
    """(file, its text) of all below the home: databases as they lie, tables unpacked."""
    for file in home.rglob("*"):
        if file.is_file():
            yield str(file), file.read_bytes().decode("utf-8", "replace")
        if file.suffix == ".parquet":
            yield str(file), json.dumps(pl.read_parquet(file).to_dicts(), default=str)


def leaks(work: Work, *ended: Ended) -> list[str]:
    texts = [*kept(work.home), *(("terminal", one.out + one.err) for one in ended)]
    return sorted({name for name, text in texts if any(secret in text for secret in SECRETS)})


def test_a_model_is_made_of_rows_behind_a_key_and_no_file_no_database_and_no_line_holds_it(
    work: Work, trained: Ended, host: str
) -> None:
    assert trained.code == 0, trained.err
    assert leaks(work, trained) == []
    named = {Path(name).name for name, text in kept(work.home) if f"http://{host}/desk.jsonl" in text}
    assert named >= {"ledger.parquet", "curated.parquet"}  # so a key beside it would have been found


def test_another_key_to_the_same_bytes_changes_nothing(work: Work, trained: Ended, recipe: Path, host: str) -> None:
    before = {step.name: sorted(step.iterdir()) for step in (work.home / "artifacts").glob("[!.]*")}
    again = work.run("curate", recipe, DESK=f"http://{host}/desk.jsonl?key={NEXT_KEY}")
    assert again.code == 0, again.err
    assert {step.name: sorted(step.iterdir()) for step in (work.home / "artifacts").glob("[!.]*")} == before
    assert leaks(work, again) == []


@pytest.mark.parametrize("place", ["locked", "broken", "gone"])
def test_a_server_that_refuses_or_is_away_ends_the_run_in_words_that_hold_no_key(
    place: str,
    work: Work,
    recipe: Path,
    host: str,
    server: TextIO,
    here: Callable[[str, Path | str], Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = "127.0.0.1:9" if place == "gone" else host  # the discard port: nothing listens
    url = f"http://clerk:{NEXT_KEY}@{where}/{place}/desk.jsonl?key={KEY}"
    monkeypatch.setenv("DESK", url)
    for ended in (work.run("curate", recipe, PREFECT_LOGGING_LEVEL="DEBUG"), here("contract suggest", "env:DESK")):
        assert ended.code == 1
        assert f"http://{where}/{place}/desk.jsonl did not answer" in ended.err
        assert leaks(work, ended) == []
    told = {Path(name).name for name, text in kept(work.home) if f"{where}/{place}/desk.jsonl did not answer" in text}
    assert any(name.startswith("prefect.db") for name in told)  # so a key in its words would have been found


def test_a_key_in_a_recipe_or_on_the_command_line_is_refused_before_anything_keeps_it(
    work: Work, recipe: Path, host: str, here: Callable[[str, Path | str], Ended]
) -> None:
    url = f"http://{host}/desk.jsonl?key={KEY}"
    typed = little_recipe(recipe.parent, "typed", data={"train": [url], "holdout": ["holdout.jsonl"]})
    modelled = little_recipe(recipe.parent, "modelled", base_model={"source": url})
    contracted = little_recipe(recipe.parent, "contracted", contract=url)
    asked = (
        ("curate", typed),
        ("curate", modelled),
        ("curate", contracted),
        ("curate", url),
        ("contract suggest", url),
    )
    for command, data in (*asked, ("score little --out x.jsonl", url)):
        ended = here(command, data)
        assert ended.code == 2, ended.err
        assert "to do:" in ended.err
        assert leaks(work, ended) == []
