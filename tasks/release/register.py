"""Register: the adapter becomes a version of the model in MLflow, and challenger once its answers prove it.

The order matters, for a kill may come between any two lines: the run, the model, the version (each found again by the
unit's digest), the evidence, the check of real answers, and the alias last. Without alias nothing is served by name.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tasks.core.errors import AssayError, RegistrationError
from tasks.core.handle import Handle
from tasks.core.personal_kinds import KINDS
from tasks.core.row import tools_of, turns
from tasks.core.settings import Settings
from tasks.core.text.display import short
from tasks.core.urls import public
from tasks.facts.contract import ContractFacts
from tasks.facts.dataset import DatasetTold
from tasks.facts.scores import Scores
from tasks.facts.training import TrainingFacts
from tasks.facts.verdict import Verdict
from tasks.facts.version import VersionFacts, VersionTold
from tasks.model.base_model import BaseModelSettings
from tasks.model.chat_template import PromptSettings
from tasks.registry import evidence, mlflow_client
from tasks.registry.packaging import describe, write_model
from tasks.registry.register_once import REGISTERED, once
from tasks.registry.stored_files import REJECTED, check_place, check_whole, restore
from tasks.registry.unit import UNIT, Unit
from tasks.registry.versions import (
    ARTIFACT,
    CHALLENGER,
    EVIDENCE,
    METRIC,
    STATE,
    artifact_digest,
    ask,
    download,
    recorded,
)

if TYPE_CHECKING:
    from tasks.personal_data.finders import PersonalData
from tasks.core.work import StepDirs, StepResult


class RegisterSettings(Settings):
    """How a model that passed its gate is registered."""

    # Holdout questions asked of the model as loaded back from the registry. A wrong base, adapter, prompt or number
    # format changes nearly every answer, so a handful finds it; each costs a fraction of a second.
    checked_answers: int = Field(default=8, ge=1, le=1000)
    # Keep the training rows beside the model, so that `watch` compares new rows with them on any machine. They are kept
    # only as redact left them, and not at all where it was told to leave a kind of personal data in.
    keep_rows: bool = True


class RecipeText(BaseModel):
    """The recipe as a person wrote it. name: the registered model's. yaml: the file's text."""

    model_config = ConfigDict(frozen=True)

    name: str
    yaml: str


@dataclass(frozen=True)
class UnitParts:
    """What is registered as one unit. source: of the base model, as the recipe states it."""

    prompt: PromptSettings
    source: BaseModelSettings
    base: Handle
    adapter: Handle


@dataclass(frozen=True)
class Proof:
    """What speaks for a version: the artifacts that are logged as its evidence."""

    contract: Handle
    dataset: Handle
    scores: Handle
    verdict: Handle

    def by_name(self) -> dict[str, Handle]:
        return {"contract": self.contract, "dataset": self.dataset, "scores": self.scores, "verdict": self.verdict}


@dataclass(frozen=True)
class RecordedAnswers:
    """What the tuned variant answered in evaluation, and the holdout rows that it was asked."""

    holdout: Handle
    predictions: Handle


def register(
    place: StepDirs,
    *,
    settings: RegisterSettings,
    recipe: RecipeText,
    parts: UnitParts,
    proof: Proof,
    answers: RecordedAnswers,
    personal: PersonalData,
) -> StepResult:
    """Register the unit once, prove it by its answers, and point the alias `challenger` at it.

    personal: what redact was told to find. Raises RegistrationError when the gate did not pass, when the registered
    model does not give the recorded answers, or when MLflow refuses; OutsideError while MLflow does not answer.
    """
    started = time.monotonic()
    _refuse_unless_passed(proof.verdict)
    unit = describe(parts.prompt, parts.source, parts.base, parts.adapter, proof.dataset)
    tags = _tags(unit, proof)
    asked = questions(answers, settings.checked_answers)
    with mlflow_client.outside("register the model"):
        client = mlflow_client.client()
        experiment_id = mlflow_client.experiment(client, recipe.name)
        check_place(client, experiment_id)
        run = mlflow_client.run(client, experiment_id, recipe.name, unit.digest)
        place.progress(0.1, "writing the model")
        adapter = parts.adapter.folder / "adapter"
        version = create_version(client, place.scratch / "model", run, recipe.name, unit, adapter)

        def write(folder: Path) -> None:
            write_model(folder, unit, adapter, version.run_id, mlflow_client.model_id(version))

        restore(client, version, place.scratch / "model", write)
        run = mlflow_client.its_run(client, version)  # another machine's, when that was first
        rows = {"rows": proof.dataset} if settings.keep_rows and set(personal.kinds) == set(KINDS) else {}
        digest = _log_evidence(client, run, version, recipe, unit, parts.adapter, {**proof.by_name(), **rows}, asked)
        _tag(client, version, {**tags, EVIDENCE: digest})
    place.progress(0.5, "asking it what evaluation asked")
    folder = download(version, place.scratch / "loaded")
    files = artifact_digest(folder)  # before their code runs
    check_answers(client, version, folder, asked)
    name_challenger(client, version, files)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    facts = VersionFacts(
        name=recipe.name,
        version=int(version.version),
        alias=CHALLENGER,
        unit_digest=unit.digest,
        checked_answers=len(asked),
        unit=unit.model_dump(mode="json"),
    )
    told = _told(client, run, version, size, time.monotonic() - started)
    line = (
        f"{recipe.name} version {version.version} is {CHALLENGER} ({size / 1e6:,.1f} MB, {len(asked)} answers checked)"
    )
    table = [{"tag": key, "value": value} for key, value in tags.items()]
    return StepResult("version", line, facts.written(), table, told=told.written())


def _told(client: Any, run: Any, version: Any, size: int, seconds: float) -> VersionTold:
    """Where the version is kept, and what it took: no part of what it is."""
    return VersionTold(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        model_id=mlflow_client.model_id(version),
        model_uri=f"models:/{version.name}/{version.version}",
        tracking_uri=public(client.tracking_uri),
        artifact_bytes=size,
        seconds=seconds,
    )


def is_challenger(version: Handle) -> bool:
    """Whether MLflow still has this version under the alias, with its evidence and its files; only then is a cached
    registration true.
    """
    facts = VersionFacts.of(version)
    try:
        with mlflow_client.outside("say which version is challenger"):
            client = mlflow_client.client()
            found = client.get_model_version_by_alias(facts.name, CHALLENGER)
            if int(found.version) != facts.version:
                return False
            check_whole(client, found)
    except AssayError:  # gone or changed, or MLflow does not answer: registering again finds out, and retries
        return False
    return True


def _refuse_unless_passed(verdict: Handle) -> None:
    said = Verdict.of(verdict).verdict
    if said != "passed":
        raise RegistrationError(
            f"The gate says {said}, so nothing is registered.",
            where="step register",
            allowed="a verdict of `passed`",
            todo="read in the report which rule did not hold; better data or other rules, then run again",
        )


def create_version(client: Any, scratch: Path, run: Any, name: str, unit: Unit, adapter: Path) -> Any:
    """The version of this unit under the model `name`: the one there is, else a new one, never a second."""

    def make() -> None:
        model = mlflow_client.logged_model(client, run, name, unit.digest)
        if model.status != "READY":
            shutil.rmtree(scratch, ignore_errors=True)
            write_model(scratch, unit, adapter, run.info.run_id, model.model_id)
            client.log_model_artifacts(model.model_id, str(scratch))
            client.finalize_logged_model(model.model_id, "READY")
        mlflow_client.ensure_registered_model(client, name)
        tags = {mlflow_client.DIGEST: unit.digest, STATE: REGISTERED}
        client.create_model_version(
            name, f"models:/{model.model_id}", run.info.run_id, tags=tags, model_id=model.model_id
        )

    return once(client, name, run.info.experiment_id, unit.digest, make)


def _log_evidence(
    client: Any,
    run: Any,
    version: Any,
    recipe: RecipeText,
    unit: Unit,
    adapter: Handle,
    proof: dict[str, Handle],
    asked: list[dict[str, Any]],
) -> str:
    """Log what speaks for the version to its run; returns the digest of it."""
    run_id, trained = run.info.run_id, TrainingFacts.of(adapter)
    evidence.log_parameters(client, run, recipe.yaml, trained.settings)
    model_id = mlflow_client.model_id(version)
    evidence.log_metrics(client, run, model_id, Scores.of(proof["scores"]), trained.history)
    evidence.log_dataset(client, run_id, recipe.name, proof["dataset"])
    checked = json.dumps(asked, indent=1, ensure_ascii=False)
    texts = {"recipe.yaml": recipe.yaml, UNIT: unit.model_dump_json(indent=1), evidence.CHECKED: checked}
    # A dataset of before they were told has none.
    told = DatasetTold.of(proof["dataset"]).model_dump(exclude_unset=True)
    texts |= {evidence.SOURCES: json.dumps(told, indent=1, ensure_ascii=False)} if told else {}
    return evidence.log_files(client, run_id, texts, proof)


def _tags(unit: Unit, proof: Proof) -> dict[str, str]:
    """What a person reads on the version's page in MLflow."""
    contract = ContractFacts.of(proof.contract)
    count = contract.warnings
    warnings = f", {count} warning{'s' * (count > 1)}" if count else ""
    return {
        "assay.base": unit.base.digest,
        "assay.base_source": unit.base.source,
        "assay.adapter": unit.adapter,
        "assay.dataset": unit.dataset,
        "assay.verdict": Verdict.of(proof.verdict).verdict,
        METRIC: evidence.headline_text(Scores.of(proof.scores)),
        "assay.contract": ("passed" if contract.passed else "broken") + warnings,
        "assay.version": unit.assay,
    }


def _tag(client: Any, version: Any, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(version.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    for key in (key for key, value in tags.items() if version.tags.get(key) != value):
        client.set_model_version_tag(version.name, version.version, key, tags[key])
    client.update_model_version(version.name, version.version, f"{tags[METRIC]}; gate {tags['assay.verdict']}")
    mlflow_client.link(client, version)


def questions(recorded_answers: RecordedAnswers, count: int) -> list[dict[str, Any]]:
    """The first `count` holdout rows by row_id, which is a hash and so a fair draw: row_id, messages, answer as
    recorded; and tools, calls where there are any.
    """
    answers = recorded_answers.predictions.frame("predictions.parquet").filter(pl.col("set") == "holdout")
    kept = recorded_answers.holdout.frame().sort("row_id").head(count)
    told = kept.join(answers.select("row_id", "answer", made="calls"), on="row_id", how="left", maintain_order="left")
    return [_question(row) for row in told.iter_rows(named=True)]


def _question(row: dict[str, Any]) -> dict[str, Any]:
    beside = {"tools": tools_of(row["meta"]), "calls": row["made"]}
    asked = {"row_id": row["row_id"], "messages": turns(row), "answer": row["answer"]}
    return {**asked, **{key: value for key, value in beside.items() if value is not None}}


def check_answers(client: Any, version: Any, folder: Path, asked: list[dict[str, Any]]) -> None:
    """Raise RegistrationError, and reject the version, unless the loaded model gives each recorded answer to the
    letter.
    """
    try:
        given = ask(folder, asked)
    except RegistrationError:  # it refused to load: another base model, or an adapter that was changed
        _reject(client, version)
        raise
    for row, got in zip(asked, given, strict=True):
        if got == recorded(row):
            continue
        _reject(client, version)
        raise RegistrationError(
            f"{version.name} version {version.version}, loaded back, does not answer as it was evaluated.",
            where=f"holdout row {row['row_id']}: recorded {short(recorded(row).as_text, 300)!r}, now "
            f"{short(got.as_text, 300)!r}",
            allowed="the same text, to the letter",
            todo="the version has no alias and is marked rejected; run again on the machine that evaluated it, with "
            "the same "
            "libraries, and report it as a bug if it recurs",
        )


def _reject(client: Any, version: Any) -> None:
    """Mark the version, and take the alias away if an earlier run had given it."""
    with mlflow_client.outside("mark the version as rejected"):
        if CHALLENGER in client.get_model_version(version.name, version.version).aliases:
            client.delete_registered_model_alias(version.name, CHALLENGER)
        client.set_model_version_tag(version.name, version.version, STATE, REJECTED)
        client.set_terminated(version.run_id, "FAILED")


def name_challenger(client: Any, version: Any, artifact: str) -> None:
    """Point the alias at the version and read it back. Raises RegistrationError when it points elsewhere.

    artifact: the digest of the files that have just given the recorded answers; promotion compares them with it.
    """
    with mlflow_client.outside("set the alias"):
        client.set_model_version_tag(version.name, version.version, ARTIFACT, artifact)
        client.set_registered_model_alias(version.name, CHALLENGER, version.version)
        shown = client.get_model_version_by_alias(version.name, CHALLENGER)
        if str(shown.version) != str(version.version):  # a number from a database, a text from a server
            raise RegistrationError(
                f"The alias {CHALLENGER} was set to version {version.version} and points at {shown.version}.",
                where=f"registered model {version.name}",
                todo="another run is registering the same model; run again when it is done",
            )
        if version.tags.get(STATE) in (
            None,
            REGISTERED,
            REJECTED,
        ):  # else it was champion, and its state says what of it
            client.set_model_version_tag(version.name, version.version, STATE, CHALLENGER)
        client.set_terminated(version.run_id, "FINISHED")
