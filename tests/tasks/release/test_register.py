"""Registering: once, proven by its answers, adapter only, and served over HTTP with the very text that was evaluated.

Real MLflow on SQLite, a real (tiny) base model with a real adapter. One database for the file; each test has a model
name.
"""

from __future__ import annotations

import ast
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.code_digest import code_files
from tasks.core.errors import OutsideError, RegistrationError
from tasks.core.handle import Handle
from tasks.core.home import home
from tasks.core.work import StepResult
from tasks.model.base_model import BaseModelSettings
from tasks.registry import mlflow_client, served_model
from tasks.registry.packaging import LIBRARIES, describe
from tasks.registry.versions import CHALLENGER, STATE
from tasks.release.register import create_version, is_challenger
from tests.support.registration import PREDICTIONS, PROMPT, TEXTS, Inputs, artifact, make_inputs, recorded
from tests.support.serving import free_port, post, serving
from tests.support.tiny_model import tiny_adapter, tiny_model


@pytest.fixture(scope="module")
def place(registry: Path, one_thread: None) -> Path:
    return registry


@pytest.fixture(scope="module")
def made(place: Path) -> Inputs:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(place / "home"))
        return make_inputs(place)


@pytest.fixture
def inputs(place: Path, made: Inputs, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Inputs:
    """The inputs, under a model name of this test's own, in the file's home and on its database."""
    monkeypatch.setenv("ASSAY_HOME", str(place / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'home' / 'mlflow.db'}")
    monkeypatch.chdir(place)
    return replace(made, name=request.node.name.removeprefix("test_")[:60])


def versions(name: str) -> list[Any]:
    return list(mlflow_client.client().search_model_versions(f"name = '{name}'"))


def logged(client: Any, made: StepResult) -> list[Any]:
    return list(client.search_logged_models([made.told["experiment_id"]]))


def runs(client: Any, made: StepResult) -> list[Any]:
    return list(client.search_runs([made.told["experiment_id"]]))


def has_alias(name: str) -> bool:
    return bool(mlflow_client.client().get_registered_model(name).aliases)


def tampered(predictions: Handle, row: int, text: str) -> Handle:
    frame = predictions.frame(PREDICTIONS).sort("row_id")
    answers = [text if i == row else answer for i, answer in enumerate(frame["answer"])]
    return recorded(frame.with_columns(answer=pl.Series(answers)))


def truth(inputs: Inputs) -> list[str]:
    """What evaluation recorded, in the order of TEXTS."""
    return inputs.predictions.frame(PREDICTIONS).sort("row_id")["answer"].to_list()


def test_a_model_that_passed_becomes_challenger_with_its_evidence(inputs: Inputs) -> None:
    made = inputs.register(checked=4)
    client = mlflow_client.client()
    version = client.get_model_version_by_alias(inputs.name, CHALLENGER)
    assert (
        made.line
        == f"{inputs.name} version 1 is challenger ({made.told['artifact_bytes'] / 1e6:.1f} MB, 4 answers checked)"
    )
    assert version.tags[STATE] == "challenger"
    assert version.tags["assay.contract"] == "passed, 1 warning"
    assert version.tags["assay.metric"] == "exact 90.0 % [80.0, 95.0] on 6 holdout rows"
    run = client.get_run(made.told["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["holdout/exact.tuned.low"] == pytest.approx(0.8)
    assert run.data.metrics["holdout/exact.gain_over_zero_shot"] == pytest.approx(0.7)
    assert run.data.params["train.epochs"] == "2"
    assert run.inputs.dataset_inputs[0].dataset.digest == inputs.dataset.digest[:16]
    page = client.get_logged_model(made.told["model_id"])
    assert {m.key: m.value for m in page.metrics}["holdout/exact.tuned"] == pytest.approx(0.9)


def test_the_artifact_holds_no_base_weights_and_no_path_of_this_machine(inputs: Inputs, place: Path) -> None:
    inputs.register()
    stored = home() / "mlartifacts" / inputs.name
    weights = [path for path in stored.rglob("*") if path.suffix in (".safetensors", ".bin", ".pkl", ".gguf")]
    assert [path.name for path in weights] == ["adapter_model.safetensors"]
    assert (
        sum(path.stat().st_size for path in stored.rglob("*")) < (place / "base" / "model.safetensors").stat().st_size
    )
    texts = [path for path in stored.rglob("*") if path.is_file() and path.suffix not in (".safetensors", ".parquet")]
    assert len(texts) > 20
    machine = [str(place), str(Path.home()), str(Path(__file__).parents[3]), sys.prefix]
    assert [(path.name, known) for path in texts for known in machine if known in path.read_text()] == []
    assert sorted(path.name for path in place.iterdir()) == ["base", "home"]  # no ./mlruns where the command was typed


def test_registering_again_gives_the_same_version(inputs: Inputs) -> None:
    first, second = inputs.register(), inputs.register()
    client = mlflow_client.client()
    assert first.facts == second.facts
    assert first.told["run_id"] == second.told["run_id"]
    assert len(versions(inputs.name)) == len(runs(client, first)) == len(logged(client, first)) == 1
    assert len(client.get_metric_history(first.told["run_id"], "train/loss")) == 2


@pytest.mark.parametrize("killed_after", ["run", "half a model", "version"])
def test_a_kill_at_any_point_ends_in_one_version(inputs: Inputs, killed_after: str) -> None:
    inputs = replace(inputs, name=f"killed-after-{killed_after.replace(' ', '-')}")
    client = mlflow_client.client()
    unit = describe(PROMPT, BaseModelSettings(source="base"), inputs.base, inputs.adapter, inputs.dataset)
    run = mlflow_client.run(client, mlflow_client.experiment(client, inputs.name), inputs.name, unit.digest)
    if killed_after == "half a model":
        model = mlflow_client.logged_model(client, run, inputs.name, unit.digest)
        client.log_model_artifact(model.model_id, str(inputs.adapter.folder / "adapter" / "adapter_config.json"))
    if killed_after == "version":
        create_version(client, home() / "scratch" / "killed", run, inputs.name, unit, inputs.adapter.folder / "adapter")
        assert not has_alias(inputs.name)
    made = inputs.register()
    assert (len(versions(inputs.name)), len(runs(client, made)), len(logged(client, made))) == (1, 1, 1)
    assert client.get_model_version_by_alias(inputs.name, CHALLENGER).tags[mlflow_client.DIGEST] == unit.digest


def test_another_prompt_or_adapter_is_another_unit(inputs: Inputs, tmp_path: Path) -> None:
    source = BaseModelSettings(source="base")
    other = artifact(
        "train", "adapter", {}, lambda out: tiny_adapter(inputs.base.folder / "model", out / "adapter", seed=2)
    )
    units = [
        describe(prompt, source, inputs.base, adapter, inputs.dataset)
        for prompt in (
            PROMPT,
            PROMPT.model_copy(update={"max_new_tokens": 13}),
            PROMPT.model_copy(update={"stop": ("a",)}),
        )
        for adapter in (inputs.adapter, other)
    ]
    assert len({unit.digest for unit in units}) == 6
    assert units[0].prompt.stop == ("<|im_end|>",)
    assert "<|im_start|>" in units[0].prompt.chat_template


def test_an_answer_that_differs_from_the_recorded_one_rejects_the_version(inputs: Inputs) -> None:
    told_wrong = replace(inputs, predictions=tampered(inputs.predictions, 1, "what evaluation never saw"))
    with pytest.raises(RegistrationError, match="what evaluation never saw") as caught:
        told_wrong.register()
    assert f"{1:064x}" in str(caught.value)
    assert repr(truth(inputs)[1]) in str(caught.value)
    assert not has_alias(inputs.name)
    assert versions(inputs.name)[0].tags[STATE] == "rejected"
    assert inputs.register().facts["version"] == 1  # with the true record the same version is accepted


def test_an_adapter_changed_in_the_store_is_refused_and_loses_the_alias(inputs: Inputs) -> None:
    made = inputs.register()
    stored = next((home() / "mlartifacts" / inputs.name / "models").rglob("adapter_model.safetensors"))
    tiny_adapter(inputs.base.folder / "model", stored.parent, seed=3)
    with pytest.raises(RegistrationError, match="not the one that was evaluated"):
        inputs.register()
    assert made.facts["alias"] == CHALLENGER
    assert not has_alias(inputs.name)
    assert inputs.register().facts["version"] == 1  # made anew, as the refusal says
    assert is_challenger(kept(made))


def kept(made: StepResult) -> Handle:
    return artifact("register", "version", made.facts)


@pytest.mark.parametrize("lost", ["files", "evidence", "all"])
def test_a_version_whose_files_are_gone_is_no_challenger_and_is_made_whole(inputs: Inputs, lost: str) -> None:
    inputs = replace(inputs, name=f"lost-{lost}")
    made = inputs.register()
    assert is_challenger(kept(made))
    place = home() / "mlartifacts" / inputs.name
    gone = {"files": place / "models", "evidence": place / made.told["run_id"], "all": place}[lost]
    shutil.rmtree(gone)
    assert not is_challenger(kept(made))
    assert inputs.register().facts == made.facts
    assert is_challenger(kept(made))
    assert len(versions(inputs.name)) == 1


@pytest.mark.parametrize("changed", ["gate/verdict.json", "evidence.json"])
def test_evidence_that_was_changed_is_no_challengers(inputs: Inputs, changed: str) -> None:
    inputs = replace(inputs, name=f"changed-{Path(changed).stem}")
    made = inputs.register()
    next((home() / "mlartifacts" / inputs.name).rglob(changed)).write_text('{"verdict": "passed", "by": "me"}')
    assert not is_challenger(kept(made))
    inputs.register()
    assert is_challenger(kept(made))


def test_where_the_place_of_the_files_was_moved_it_is_said_and_not_made_anew(
    inputs: Inputs, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, old = mlflow_client.client(), tmp_path / "old"
    client.create_experiment(inputs.name, artifact_location=(old / "mlartifacts" / inputs.name).as_uri())
    with pytest.raises(RegistrationError, match="was ASSAY_HOME moved") as caught:
        inputs.register()
    assert caught.value.todo.endswith(f"ln -s {home()} {old}")
    assert not old.exists()
    (old / "mlartifacts").mkdir(parents=True)  # as the link makes it
    assert is_challenger(kept(inputs.register()))


@pytest.mark.parametrize("verdict", ["refused", "undecided"])
def test_what_the_gate_did_not_pass_is_never_registered(inputs: Inputs, verdict: str) -> None:
    refused = replace(inputs, name=f"gate-{verdict}", verdict=artifact("gate", "verdict", {"verdict": verdict}))
    with pytest.raises(RegistrationError, match=verdict):
        refused.register()
    assert mlflow_client.client().get_experiment_by_name(f"gate-{verdict}") is None


def test_on_another_machine_only_the_pinned_base_model_is_served(
    inputs: Inputs, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    made, right = inputs.register(), truth(inputs)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("ASSAY_BASE_MODEL", str(tiny_model(tmp_path / "alike", [*TEXTS, "one text more"])))
    with pytest.raises(RegistrationError, match="not the one that was evaluated"):
        mlflow.pyfunc.load_model(made.told["model_uri"])
    (tmp_path / "empty").mkdir()
    for useless in ("nowhere", "empty"):
        monkeypatch.setenv("ASSAY_BASE_MODEL", str(tmp_path / useless))
        with pytest.raises(
            RegistrationError, match=r"no usable base model(.|\n)*name the right one with ASSAY_BASE_MODEL="
        ):
            mlflow.pyfunc.load_model(made.told["model_uri"])
    monkeypatch.setenv("ASSAY_BASE_MODEL", str(place / "base"))
    answered = mlflow.pyfunc.load_model(made.told["model_uri"]).predict([{"message": TEXTS[0]}])
    assert answered["answer"][0] == right[0]


def test_a_server_that_is_not_there_is_an_outside_error(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:secret@127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(OutsideError, match="MLflow did not") as caught:
        inputs.register()
    assert "secret" not in str(caught.value)


def test_a_request_that_mlflow_refuses_is_not_retried(inputs: Inputs) -> None:
    with pytest.raises(RegistrationError, match="MLflow refused"), mlflow_client.outside("do it"):
        mlflow_client.client().get_run("no-such-run")


def test_serving_code_imports_only_what_the_model_requires() -> None:
    for module, file in code_files(served_model.__name__).items():
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            foreign = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"tasks"}
            assert foreign <= set(LIBRARIES), module


ANSWERED = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"message": None}, "Row 0 has no `message` (a text) or `messages`"),
    ({"question": "Where is it?"}, "No row of the request has a `message` (a text) or `messages`"),
    ({"message": "Hi", "messages": ANSWERED[:1]}, "Row 0 has both `message` and `messages`; give one of them"),
    ({"messages": ANSWERED}, "Row 0 asks nothing: its `messages` end with the turn of the assistant"),
    ({"messages": [{"role": "robot", "content": "Hi"}]}, "role not recognised"),
    ({"message": "Hi", "tools": 5}, "Row 0 has `tools` that are no list of functions with a name."),
    ({"message": "Hi", "tools": "order"}, "Row 0 has `tools` that are no list of functions with a name."),
    ({"messages": [None]}, "Row 0 has `messages` that are no list of role and content"),
    ({"message": "where is it? " * 20_000}, "Row 0: A prompt of"),
]


def test_mlflow_models_serve_gives_the_recorded_answer_over_http_and_refuses_in_words_what_asks_nothing(
    inputs: Inputs, place: Path
) -> None:
    inputs.register()
    with serving(f"models:/{inputs.name}@{CHALLENGER}", place / "serve.log") as url:
        rows = [{"message": TEXTS[0]}]
        status, body = post(url, {"dataframe_records": rows})
        assert status == 200
        for row, words in MALFORMED:
            status, told = post(url, {"dataframe_records": [row]})
            assert (status, words in told) == (400, True), (row, told)
        turns = [{"messages": [{"role": "system", "content": "old"}, {"role": "user", "content": TEXTS[3]}]}]
        _, conversation = post(url, {"dataframe_records": turns})
    assert body["predictions"] == [{"answer": truth(inputs)[0]}]
    assert conversation["predictions"] == [{"answer": truth(inputs)[3]}]
