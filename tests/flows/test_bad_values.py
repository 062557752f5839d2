"""Every field of every deployment, with values that are wrong: the server refuses them, or the run does in its first
seconds.

A case is put to a real server as the run form puts it. What it takes is run as a worker's process runs it; it must end
in words that say where and what to do, with nothing made. A field of a deployment that has no bad value here fails the
last test.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flow_engine import run_flow
from prefect.logging.loggers import get_logger
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.run.final_states import RUN_LOGS
from flows.servers import deploy
from tasks.core.allowed_folders import FOLDERS
from tasks.core.home import home
from tasks.registry import mlflow_client
from tasks.registry.versions import CHALLENGER, CHAMPION

SECONDS = 5.0  # of a run that refuses; measured 0.1 on an idle machine
LONG, ODD, NOBODY = "a" * 10_000, "a\x00b\x1b[31m", "~nobody-of-this-name/x"
TYPES: dict[str, list[Any]] = {
    "string": [5, None, ["a"]],
    "integer": ["many", 1.5, None, True],
    "number": ["fast", None],
    "boolean": ["maybe", 1],
}
KEY = "sk-hunter2"
PATHS = {LONG: "too long", ODD: "does not print: U+0000", NOBODY: "home directory"}
NO_MODELS = ("nobody", " ", "a/b", "a:b", "a'b", "Shop", LONG, ODD, f"s3://me:{KEY}@b")
MODELS = dict.fromkeys(NO_MODELS, "There is no registered model")
RECIPES = {
    **PATHS,
    "/nowhere/r.yaml": "There is no recipe",
    " ": "There is no recipe",
    "folder": "There is no recipe",
    "../outside.yaml": "outside the folders",
    "broken.yaml": "not valid YAML",
    "wrong.yaml": "did you mean 'name'?",
    "empty.yaml": "holds no keys",
    f"https://h/r.yaml?token={KEY}": "There is no recipe",
}
# What the server takes, by deployment and field: the value and what the run says of it. `*` is every deployment with
# the field.
SAID: dict[tuple[str, str], dict[Any, str]] = {
    ("*", "recipe_path"): RECIPES,
    ("*", "model"): MODELS,
    ("promote", "version"): {9: "has no version 9", 10**12: "has no version", 10**30: "has no version"},
    ("*", "reason"): {ODD: "does not print: U+0000"},
    ("rollback", "reason"): {" ": "needs a reason", "\n\t": "needs a reason"},
    ("score", "data"): {
        **PATHS,
        "nothing.csv": "There is no file",
        "folder": "is a folder",
        "../outside.yaml": "outside",
        "foo://a": "Protocol not known",
        "env:NOT_THERE": "NOT_THERE is not set",
        f"env:{KEY}": "the name of an environment variable",
    },
    ("score", "out"): {
        **PATHS,
        "x.xlsx": "ends in .parquet or .jsonl",
        "no/x.jsonl": "in a folder that is there",
        "full.jsonl": "Is a directory",
        "in.jsonl": "over the data",
        "../x.jsonl": "outside",
        "b" * 250 + ".jsonl": "File name too long",
        "/proc/x.jsonl": "",
    },
    ("score", "alias"): {"previous": "shop has no previous"},
}
# What the server refuses, beside a wrong type: the value and the reason that it gives.
REFUSED: dict[str, dict[Any, str]] = {
    "recipe": {"nonsense": "is not one of", "": "is not one of", LONG: "is not one of"},
    "rows": {-1: "less than the minimum of 0"},
    "epochs": {-1: "minimum of 0", 101: "greater than the maximum of 100"},
    "learning_rate": {-0.1: "minimum of 0", 0.2: "maximum of 0.1"},
    "minutes": {-1: "minimum of 0", 10_081: "maximum of 10080"},
    "seed": {-1: "minimum of 0", 2**32: "maximum of 4294967295"},
    "version": {-1: "minimum of 0"},
    "alias": {"best": "is not one of ['champion', 'challenger', 'previous']"},
    "data": {
        "": "should be non-empty",
        f"https://h/a.csv?sig={KEY}": "env:NAME in",
        f"s3://me:{KEY}@b/a": "env:NAME in",
    },
    "reason": {LONG: "is too long"},
    "out": {"": "should be non-empty"},
}
# Of the fields that must be given.
RIGHT = {
    "model": "shop",
    "reason": "why not",
    "data": "in.jsonl",
    "out": "out.jsonl",
}
NAMES = [entry["name"] for entry in yaml.safe_load(deploy.DEPLOYMENTS.read_text())["deployments"]]


@dataclass(frozen=True)
class Desk:
    """The deployments on the server, and the folder that runs may use."""

    there: dict[str, Any]
    folder: Path

    def fields(self, name: str) -> dict[str, Any]:
        return dict(self.there[name].parameter_openapi_schema["properties"])

    def needed(self, name: str) -> list[str]:
        """The fields that have no default."""
        return list(self.there[name].parameter_openapi_schema.get("required", []))

    def ask(self, name: str, **given: Any) -> Any:
        """A run, or the server's words of why there is none."""
        right = {field: value for field, value in RIGHT.items() if field in self.needed(name)}
        with get_client(sync_client=True) as client:
            try:
                return client.create_flow_run_from_deployment(self.there[name].id, parameters={**right, **given})
            except PrefectHTTPStatusError as error:
                return f"{error.response.status_code}: {error.response.json()['detail']}"

    def end(self, name: str, run: Any) -> Any:
        """Run it as a worker's process does; its final state."""
        log = get_logger("prefect.flow_runs")
        return run_flow(
            deploy.load_flow(self.there[name].entrypoint), flow_run=run, return_type="state", error_logger=log
        )


@pytest.fixture(scope="module")
def desk(registry: Path, prefect_server: str) -> Iterator[Desk]:
    """The deployments, a registered model that is champion and not previous, and files to be named,
    in a fenced folder.
    """
    folder = registry / "allowed"
    for inside in (folder / "folder", folder / "full.jsonl"):
        inside.mkdir(parents=True)
    texts = {"in.jsonl": '{"message": "x"}', "broken.yaml": "a: [", "wrong.yaml": "nam: a"}
    for name, text in {**texts, "empty.yaml": "", "../outside.yaml": ""}.items():
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PREFECT_API_URL": prefect_server, FOLDERS: str(folder), **places(registry)}.items():
            patch.setenv(name, value)
        register_shop()
        patch.setattr("tasks.core.action.RETRIES", 0)
        list(deploy.deploy())
        with get_client(sync_client=True) as client:
            yield Desk({name: client.read_deployment_by_name(f"{name}/{name}") for name in NAMES}, folder)


def places(folder: Path) -> dict[str, str]:
    return {"ASSAY_HOME": str(folder / "home"), "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'home' / 'mlflow.db'}"}


def register_shop() -> None:
    client = mlflow_client.client()
    client.create_registered_model("shop")
    run = client.create_run(mlflow_client.experiment(client, "shop"))
    client.create_model_version("shop", run.info.artifact_uri, run.info.run_id)
    for alias in (CHAMPION, CHALLENGER):
        client.set_registered_model_alias("shop", alias, "1")


@pytest.fixture
def at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Where a worker would be. Without heartbeats, whose thread holds the end of each run for a second."""
    for variable, value in places(desk.folder.parent).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(desk.folder)
    quiet: dict[Any, Any] = {PREFECT_LOCAL_STORAGE_PATH: home() / "results", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(quiet):
        yield desk


def bad(table: dict[tuple[str, str], dict[Any, str]], name: str, field: str) -> dict[Any, str]:
    return {**table.get(("*", field), {}), **table.get((name, field), {})}


def its_share(at: Desk, name: str, field: str) -> dict[Any, str]:
    """What this deployment is tried with, of the values in SAID.

    Deployments that share a field hand it to one function, so they take its values in turn: each value is tried once,
    and each deployment with one of them at least.
    """
    sharing, values = [other for other in NAMES if field in at.fields(other)], list(SAID.get(("*", field), {}).items())
    return {**dict(values[sharing.index(name) :: len(sharing)] or values[:1]), **SAID.get((name, field), {})}


@pytest.mark.parametrize("name", NAMES)
def test_the_server_refuses_what_the_form_can_tell_in_words_without_a_pattern(at: Desk, name: str) -> None:
    for field, shape in at.fields(name).items():
        cases = [(value, "") for value in TYPES[shape["type"]]] + list(REFUSED.get(field, {}).items())
        if field == "model" and name != "reconcile":  # where an empty one is every model
            cases.append(("", "should be non-empty"))
        for value, words in cases:
            told = at.ask(name, **{field: value})
            assert isinstance(told, str), f"{name} {field} takes {value!r}"
            assert told.startswith("409: ")
            assert f"Validation failed for field '{field}'" in told
            assert words in told
            assert KEY not in told
            assert not {"match", "regex", "anyOf"} & set(told.replace("'", " ").split())


@pytest.mark.parametrize("name", NAMES)
def test_a_mistyped_field_is_refused_before_there_is_a_run(at: Desk, name: str) -> None:
    assert "'epoch' was unexpected" in at.ask(name, epoch=3)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_must_be_filled_in_is_named(at: Desk, name: str) -> None:
    for field in at.needed(name):
        assert "is not of type" in at.ask(name, **{field: None})


@pytest.mark.parametrize("name", NAMES)
def test_what_only_the_run_can_tell_ends_it_at_once_in_words_and_makes_nothing(
    at: Desk, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for log in RUN_LOGS:
        logging.getLogger(log).addHandler(caplog.handler)
    before, files = made(), sorted(at.folder.rglob("*"))
    for field in at.fields(name):
        for value, words in its_share(at, name, field).items():
            run, began = at.ask(name, **{field: value}), time.monotonic()
            assert not isinstance(run, str), run
            state = at.end(name, run)
            case = f"{name} {field}={value!r:.60}: {state.name}: {state.message}"
            assert time.monotonic() - began < SECONDS, case
            assert state.name in ("Failed", "Refused"), case
            assert "exception" not in state.message, case
            assert words in state.message, case
            assert "\n  where:   " in state.message, case
            assert "\n  to do:   " in state.message, case
            assert len(state.message) < 1200, case
            assert not {"\x00", "\x1b"} & {*state.message}, case
            assert KEY not in state.message, case
    assert not [word for word in ("Traceback", KEY) if word in caplog.text]
    assert (made(), sorted(at.folder.rglob("*"))) == (before, files)


def made() -> tuple[Any, ...]:
    """What a run could have left: artifacts of steps, registered models with their versions and aliases."""
    client = mlflow_client.client()
    steps = sorted((home() / "artifacts").glob("[!.]*/*"))
    models = [
        (name, client.get_registered_model(name).aliases)
        for name in (m.name for m in client.search_registered_models())
    ]
    return steps, models, [version.version for version in client.search_model_versions()]


def test_every_field_of_every_deployment_has_a_bad_value_that_is_more_than_a_wrong_type(at: Desk) -> None:
    fields = {(name, field): shape for name in NAMES for field, shape in at.fields(name).items()}
    assert len(NAMES) >= 7
    bare = [
        key
        for key, shape in fields.items()
        if not (bad(SAID, *key) or REFUSED.get(key[1]) or shape["type"] == "boolean")
    ]
    assert bare == []
    known = {field for _, field in fields}
    assert {*REFUSED, *(field for _, field in SAID)} <= known  # nothing here is of a field that is gone
