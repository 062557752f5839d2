"""Registered once, however many machines register the same unit at the same moment.

MLflow has no lock that would outlive a killed process, and gives a run, a logged model or a version an id of its own
without asking whether the unit has one. But it hands out a model's version numbers one after another, and never a
number twice. So nobody waits; each makes what it does not find, the lowest number of a unit is its version, and what
else was made for it goes:

    1. find the unit's run and logged model, or make them; write the files; create the version, its digest tag with it
    2. look at the versions of that digest: the lowest stays, later ones, that nothing has pointed at yet, are deleted
    3. runs and logged models of that digest that belong to no version are deleted
    4. go on with the version that stays, and with its run

A version is seen by whoever makes the next, so all find the same lowest one; and only a version that came through 2
gets an alias. One that is still at 1 when another is at 3 may lose its run or its model under its hands: MLflow refuses
it, it finds the version that stands, and goes on with that. One that is killed leaves what its next run, at 2 and 3,
takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tasks.core.errors import RegistrationError
from tasks.registry import mlflow_client
from tasks.registry.versions import STATE, aliases

REGISTERED = "registered"  # the state in which a version is created; whatever happens to it gives it another


def once(client: Any, name: str, experiment_id: str, digest: str, make: Callable[[], Any]) -> Any:
    """The one version of the unit `digest` of the model `name`; `make` creates a version, and is called when there is
    none.

    Raises what `make` raises, unless there is a version after it; RegistrationError when a version was deleted
    meanwhile.
    """
    from mlflow.exceptions import MlflowException

    if mlflow_client.version(client, name, digest) is None:
        try:
            make()
        except MlflowException:
            if mlflow_client.version(client, name, digest) is None:
                raise
    return _settle(client, name, experiment_id, digest)


def _settle(client: Any, name: str, experiment_id: str, digest: str) -> Any:
    """Leave the first version, and what belongs to a version; returns the first."""
    versions = mlflow_client.versions(client, name, digest)
    if not versions:
        raise RegistrationError(
            f"The version of {name} that was just created is gone: someone deleted it.",
            where=f"registered model {name}",
            todo="run the same command again; it registers the model anew",
        )
    pointed = set(aliases(client, name).values())
    late = [v for v in versions[1:] if v.tags.get(STATE) == REGISTERED and int(v.version) not in pointed]
    _delete(client.delete_model_version, ((name, version.version) for version in late))
    stay = [version for version in versions if version not in late]
    kept = {version.run_id for version in stay} | {mlflow_client.model_id(version) for version in stay}
    models = (model.model_id for model in mlflow_client.logged_models(client, experiment_id, digest))
    _delete(client.delete_logged_model, ((one,) for one in models if one not in kept))
    runs = (run.info.run_id for run in mlflow_client.runs(client, experiment_id, digest))
    _delete(client.delete_run, ((one,) for one in runs if one not in kept))
    return versions[0]


def _delete(call: Callable[..., None], each: Iterable[tuple[str, ...]]) -> None:
    """Delete each; one that is gone was deleted by another who settles the same."""
    from mlflow.exceptions import MlflowException

    for words in each:
        try:
            call(*words)
        except MlflowException as error:
            if error.get_http_status_code() >= 500:
                raise
