"""The registered version that a new model is compared with, and its files, proved to be those that were registered.

That is the champion; where the champion is the very model at hand (a run that is repeated once its version was
promoted), the one that it replaced, so that such a run finds the comparison that it made then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.core.errors import PromotionError
from tasks.core.settings import Settings
from tasks.registry import mlflow_client
from tasks.registry.unit import Unit
from tasks.registry.versions import CHAMPION, PREVIOUS, aliases, check_files, download, find_version, read_evidence


class ComparedVersion(Settings):
    """A version to ask. evidence, artifact: the digests that it was registered with. unasked: why it cannot be asked;
    empty where nothing speaks against it yet.
    """

    name: str
    version: int
    evidence: str = ""
    artifact: str = ""
    unasked: str = ""


def find_compared(name: str, is_this: Callable[[Unit], bool]) -> ComparedVersion | None:
    """The version to compare with; None where none was promoted yet. is_this: whether a unit is the model at hand.

    Raises OutsideError while MLflow does not answer.
    """
    with mlflow_client.outside("say which version is champion"):
        client = mlflow_client.client()
        there = _aliases(client, name)
        for alias in (CHAMPION, PREVIOUS):
            if alias not in there:
                return None
            version, unit = _described(client, name, there[alias])
            if unit is None or not is_this(unit):
                return version
    return None


def _aliases(client: Any, name: str) -> dict[str, int]:
    try:
        return aliases(client, name)
    except PromotionError:  # no such model yet
        return {}


def _described(client: Any, name: str, number: int) -> tuple[ComparedVersion, Unit | None]:
    """The version, and what it is; None for one that nothing proves, whose code is not run."""
    found = ComparedVersion(name=name, version=number)
    version = find_version(client, name, number)
    if version is None:
        return found.model_copy(update={"unasked": "it was deleted"}), None
    try:
        proved = read_evidence(client, version)
    except PromotionError as error:
        return found.model_copy(update={"unasked": error.what.rstrip(".")}), None
    except (ValueError, KeyError):  # pydantic's error is a ValueError
        return found.model_copy(update={"unasked": "its evidence is in a form that is not read any more"}), None
    return found.model_copy(update={"evidence": proved.digest, "artifact": proved.artifact}), proved.unit


def fetch_compared(compared: ComparedVersion, folder: Path) -> Path:
    """The files of the version, into `folder`. Raises PromotionError where they are not those that were registered,
    RegistrationError where MLflow has them no more, OutsideError while it does not answer.
    """
    with mlflow_client.outside("give the champion back"):
        client = mlflow_client.client()
        version = client.get_model_version(compared.name, str(compared.version))
        proved = read_evidence(client, version)
    files = download(version, folder)
    check_files(version, proved, files)
    return files
