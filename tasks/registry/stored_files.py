"""A version's files in the registry: whether they are as they were registered, and written anew where they are not.

A version is more than its alias: who deletes or changes its files, or moves the folder that they lie in, leaves the
alias where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from tasks.core.errors import RegistrationError
from tasks.core.home import home, home_folder
from tasks.registry import mlflow_client
from tasks.registry.versions import ARTIFACT, STATE, artifact_digest, check_files, download, read_evidence

REJECTED = "rejected"


def check_whole(client: Any, version: Any) -> None:
    """Raise PromotionError or RegistrationError unless the version's evidence and files are as they were registered."""
    evidence = read_evidence(client, version)
    with TemporaryDirectory(dir=home_folder("scratch"), prefix="version-") as place:
        check_files(version, evidence, download(version, Path(place) / "model"))


def check_place(client: Any, experiment_id: str) -> None:
    """Raise RegistrationError where MLflow keeps files in a folder that is gone, as after a home folder was moved: else
    the old place would be made anew, and hold the half of it.
    """
    experiment = client.get_experiment(experiment_id)
    address = urlsplit(experiment.artifact_location)
    place = Path(unquote(address.path))
    if address.scheme not in ("", "file") or place.is_relative_to(home()) or place.parent.exists():
        return
    raise RegistrationError(
        f"MLflow keeps the files of {experiment.name} in {place}, which is gone: was ASSAY_HOME moved?",
        where=f"MLflow's experiment {experiment.name}",
        allowed="the place in which they were registered",
        todo=f"move it back, or link the old place to the new one: ln -s {home()} {place.parents[1]}",
    )


def restore(client: Any, version: Any, scratch: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder with the version's model anew, and put it in the place of what is stored, where that
    is gone; or where it is not what was registered, and was rejected for it.

    What was changed is first refused, so that a person learns of it, and made anew when they run it again.
    """
    model_id = mlflow_client.model_id(version)
    stored = client.list_logged_model_artifacts(model_id)
    if any(file.path == "MLmodel" for file in stored):
        known = version.tags.get(ARTIFACT, "")
        if version.tags.get(STATE) != REJECTED or not known or artifact_digest(download(version, scratch)) == known:
            return
        _delete(client.get_logged_model(model_id).artifact_location)
    shutil.rmtree(scratch, ignore_errors=True)
    write(scratch)
    client.log_model_artifacts(model_id, str(scratch))


def _delete(location: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(location).delete_artifacts()
