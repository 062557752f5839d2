"""The champion's training snapshot: what its rows were read from, and the rows, found again from the registry alone.

Of a version's run these are evidence (tasks/registry/evidence.py), each with its digest: data/sources.json,
data/dataset.json, data/ledger.parquet, contract/contract.json, evaluation/scores.json, and the rows themselves, as
redacted: data/curated.parquet and data/reference.parquet. Rows come from ASSAY_HOME by the dataset's digest where it
still has them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.core.errors import RegistrationError
from tasks.core.handle import CURATED, LEDGER, REFERENCE
from tasks.core.home import digest_bytes, digest_path, home, home_folder
from tasks.facts.dataset import DatasetTold
from tasks.registry import mlflow_client
from tasks.registry.evidence import FILES, LIST, SOURCES
from tasks.registry.versions import AGAIN, CHALLENGER, CHAMPION, EVIDENCE

STEP = "account"  # whose artifacts are datasets
ROWS = (CURATED, LEDGER, REFERENCE)
TOLD = {
    "dataset.json": "data/dataset.json",
    "contract.json": "contract/contract.json",
    "scores.json": "evaluation/scores.json",
}


class Champion(BaseModel):
    """A registered version and what it learnt from. unit, dataset: digests. sources: the digest of each source by its
    name.

    known: whether the registry says what its sources were; versions of before that was kept do not.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    alias: str
    unit: str
    dataset: str
    evidence: str
    run_id: str
    sources: dict[str, str] = {}
    decisions: int = 0
    known: bool = False

    @property
    def title(self) -> str:
        return f"{self.alias} {self.name} version {self.version}"


def find_registered(name: str) -> tuple[Champion | None, Champion | None]:
    """The champion of the model `name` (if none has been promoted: the challenger), and a challenger beside it.

    Raises OutsideError while MLflow does not answer, RegistrationError when what it holds has changed since.
    """
    with mlflow_client.outside("say which version is champion"):
        client = mlflow_client.client()
        found = [_described(client, name, alias) for alias in (CHAMPION, CHALLENGER)]
    there = [version for version in found if version]
    first = there[0] if there else None
    beside = next((version for version in there[1:] if first and version.version != first.version), None)
    return first, beside


def _described(client: Any, name: str, alias: str) -> Champion | None:
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):  # no such model; no such alias
            raise
        return None
    tags = version.tags
    champion = Champion(
        name=name,
        version=int(version.version),
        alias=alias,
        unit=tags.get(mlflow_client.DIGEST, ""),
        run_id=version.run_id,
        dataset=tags.get("assay.dataset", ""),
        evidence=tags.get(EVIDENCE, ""),
    )
    with TemporaryDirectory(dir=home_folder("scratch"), prefix="sources-") as place:
        file = _evidence(client, champion, {SOURCES: Path(place) / "sources.json"}).get(SOURCES)
        told = DatasetTold.read(file) if file else None
    if told is None:
        return champion
    return champion.model_copy(update={"sources": told.sources, "decisions": told.decisions, "known": True})


def fill(place: Path, champion: Champion) -> dict[str, str]:
    """Write into `place` what there is of the snapshot: ROWS and TOLD. Returns where each file came from, by its name.

    Raises RegistrationError for a file that is not what was registered, OutsideError while MLflow does not answer.
    """
    kept = home() / "artifacts" / STEP / champion.dataset[:16]
    from_home = bool(champion.dataset) and kept.is_dir() and digest_path(kept) == champion.dataset
    came = {}
    for name in ROWS if from_home else ():
        shutil.copyfile(kept / name, place / name)
        came[name] = "ASSAY_HOME"
    paths = {path: name for kind in ("dataset", "rows") for name, path in FILES[kind].items() if name in ROWS}
    wanted = {path: place / name for path, name in paths.items() if name not in came}
    wanted |= {path: place / name for name, path in TOLD.items()}
    with mlflow_client.outside("give the champion's training snapshot"):
        found = _evidence(mlflow_client.client(), champion, wanted)
    return came | {file.name: "the registry" for file in found.values()}


def _evidence(client: Any, champion: Champion, wanted: Mapping[str, Path]) -> dict[str, Path]:
    """Download evidence of the version: of each path that there is, the file it was written to, its digest checked."""
    if not champion.evidence:
        return {}
    with TemporaryDirectory(dir=home_folder("scratch"), prefix="evidence-") as temporary:
        listed = Path(client.download_artifacts(champion.run_id, LIST, temporary)).read_bytes()
        if digest_bytes(listed) != champion.evidence:
            raise _changed(champion, LIST)
        digests = json.loads(listed)
        found = {path: target for path, target in wanted.items() if path in digests}
        for path, target in found.items():
            file = Path(client.download_artifacts(champion.run_id, path, temporary))
            if digest_path(file) != digests[path]:
                raise _changed(champion, path)
            shutil.move(file, target)
    return found


def _changed(champion: Champion, path: str) -> RegistrationError:
    return RegistrationError(
        f"What the registry holds of {champion.title} is not what was registered: {path} has changed since.",
        where=f"artifacts of MLflow run {champion.run_id}",
        allowed=f"what tag {EVIDENCE} is the digest of",
        todo=AGAIN,
    )
