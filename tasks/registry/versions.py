"""The registry as promotion sees it: where the aliases point, what a version proves of itself, and what it answers.

A version carries its proof in MLflow alone, so any machine can check it: the gate's verdict, the scores and some
recorded answers are artifacts of its run. The tag `assay.evidence` is the digest of their list, `assay.artifact` of the
model's files. These find damage and mistakes; whoever may write to MLflow's database can forge all of it, as they can
move an alias.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tasks.core.errors import PromotionError
from tasks.core.home import digest_bytes, digest_json, digest_path, home_folder
from tasks.core.text.user_input import quoted
from tasks.facts.scores import Scores
from tasks.metrics.reference import ModelAnswer
from tasks.model.chat_template import question
from tasks.registry import mlflow_client
from tasks.registry.evidence import CHECKED, LIST, SCORES, VERDICT
from tasks.registry.loaded_version import LoadedVersion
from tasks.registry.unit import UNIT, Unit

# Alias names are case-sensitive in MLflow: this is the one place that spells them.
CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
STATE = "assay.state"  # of a version, in a word: registered, challenger, rejected, champion, replaced, rolled back
EVIDENCE, ARTIFACT = "assay.evidence", "assay.artifact"  # digests: of the list of evidence, of the model's files
METRIC = "assay.metric"
MOST_VERSION = 2**31 - 1  # MLflow's column is an integer of four bytes, and PostgreSQL fails for more
ADDED = "registered_model_meta"  # which MLflow writes into each download by a version's name
AGAIN = "run the recipe again (`assay run`): it registers the evidence anew and trains nothing that is there"


@dataclass(frozen=True)
class Evidence:
    """What a version proves of itself. checked: questions with the answers that evaluation recorded. digest: of all of
    it. scores: None of a version without them.
    """

    metric: str
    digest: str
    artifact: str
    checked: list[dict[str, Any]]
    unit: Unit
    scores: Scores | None


def aliases(client: Any, model: str) -> dict[str, int]:
    """Where the aliases of a registered model point. Raises PromotionError when there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        return {alias: int(number) for alias, number in client.get_registered_model(model).aliases.items()}
    except MlflowException as error:
        if error.error_code not in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):  # the latter of a name like a/b
            raise
        known = sorted(found.name for found in client.search_registered_models(max_results=20))
        raise PromotionError(
            f"There is no registered model {quoted(model)}.",
            where="MLflow's registry",
            allowed=", ".join(known) or "none yet",
            todo="check the name; `assay run` registers a model that passes its gate",
        ) from error


def find_version(client: Any, model: str, number: int) -> Any | None:
    """The version with its tags and aliases; None when there is none of this number, or it was deleted."""
    from mlflow.exceptions import MlflowException

    if number > MOST_VERSION:
        return None
    try:
        return client.get_model_version(model, str(number))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def numbers(client: Any, model: str) -> list[int]:
    """The versions there are, oldest first."""
    return sorted(int(version.version) for version in client.search_model_versions(f"name = '{model}'"))


def read_evidence(client: Any, version: Any) -> Evidence:
    """What the version proves of itself. Raises PromotionError unless it passed its gate and the record is whole."""
    who = f"{version.name} version {version.version}"
    if version.tags.get(STATE) == "rejected":
        raise PromotionError(
            f"{who} was rejected when it was registered: loaded back, it did not answer as it was evaluated.",
            where=f"tag {STATE}",
            todo=AGAIN,
        )
    if EVIDENCE not in version.tags or mlflow_client.DIGEST not in version.tags:
        raise PromotionError(
            f"{who} never passed its gate: there is no evidence with it.",
            where=f"tag {EVIDENCE}",
            allowed="a version that `assay run` registered",
            todo=AGAIN,
        )
    with TemporaryDirectory(dir=home_folder("scratch"), prefix="evidence-") as place:
        texts = _evidence_texts(client, version, Path(place))
    verdict = json.loads(texts[VERDICT])["verdict"]
    if verdict != "passed":
        raise PromotionError(f"{who} never passed its gate, which said: {verdict}.", where=VERDICT, todo=AGAIN)
    unit = Unit.model_validate_json(texts[UNIT])
    if unit.digest != version.tags[mlflow_client.DIGEST]:
        raise _changed(version, UNIT)
    metric, artifact = version.tags.get(METRIC, ""), version.tags.get(ARTIFACT, "")
    scores = Scores.model_validate_json(texts[SCORES]) if SCORES in texts else None
    return Evidence(metric, version.tags[EVIDENCE], artifact, json.loads(texts[CHECKED]), unit, scores)


def _evidence_texts(client: Any, version: Any, place: Path) -> dict[str, str]:
    """The files of the evidence that promotion reads, each as its digest says."""
    listed = _read(client, version, LIST, place)
    if digest_bytes(listed) != version.tags[EVIDENCE]:
        raise _changed(version, LIST)
    digests = json.loads(listed)
    texts = {}
    for path in (VERDICT, CHECKED, UNIT, *({SCORES} & digests.keys())):
        content = _read(client, version, path, place)
        if digest_bytes(content) != digests.get(path):
            raise _changed(version, path)
        texts[path] = content.decode()
    return texts


def _read(client: Any, version: Any, path: str, place: Path) -> bytes:
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(version.run_id, path, str(place))).read_bytes()
    except (MlflowException, OSError) as error:
        if isinstance(error, MlflowException) and error.get_http_status_code() >= 500:
            raise
        raise PromotionError(
            f"The evidence of {version.name} version {version.version} is not there: {path}.",
            where=f"artifacts of MLflow run {version.run_id}",
            todo=AGAIN,
        ) from error


def _changed(version: Any, path: str) -> PromotionError:
    return PromotionError(
        f"The evidence of {version.name} version {version.version} is not what was registered: {path} has changed "
        f"since.",
        where=f"artifacts of MLflow run {version.run_id}",
        allowed=f"what tag {EVIDENCE} is the digest of",
        todo=AGAIN,
    )


def download(version: Any, folder: Path) -> Path:
    """The model as anyone would get it from the registry, into `folder`, which is emptied first."""
    import mlflow

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with mlflow_client.outside("give the model back"):
        uri = f"models:/{version.name}/{version.version}"
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def artifact_digest(folder: Path) -> str:
    """sha256 of a downloaded model's sorted (relative name, file digest) pairs, without what MLflow
    adds to a download.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ADDED)
    return digest_json([[path.relative_to(folder).as_posix(), digest_path(path)] for path in files])


def check_files(version: Any, evidence: Evidence, folder: Path) -> None:
    """Raise PromotionError unless every file of the downloaded model is as it was registered."""
    if not evidence.artifact or artifact_digest(folder) != evidence.artifact:
        raise PromotionError(
            f"The files of {version.name} version {version.version} are not those that were registered.",
            where=f"models:/{version.name}/{version.version}",
            allowed=f"digest {evidence.artifact or 'none was recorded'}",
            todo="restore the artifact store from its backup; or " + AGAIN,
        )


def ask(folder: Path, checked: Sequence[Mapping[str, Any]]) -> list[ModelAnswer]:
    """The answers of the model in `folder` to recorded rows (messages, and tools where there are any), all in one
    request.
    """
    with LoadedVersion(folder) as version:
        return version.answers([question(row["messages"]) for row in checked], [row.get("tools") for row in checked])


def recorded(row: Mapping[str, Any]) -> ModelAnswer:
    """The answer that evaluation recorded of a row."""
    return ModelAnswer(str(row["answer"]), row.get("calls"))
