"""MLflow as the steps use it: one client, one experiment a recipe, one run and one version a unit, errors in our words.

Nothing here uses the active run, which belongs to a thread: every call names its run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

from tasks.core.errors import AssayError, OutsideError, RegistrationError, is_disk_full
from tasks.core.home import home, home_folder
from tasks.core.urls import masked, public

DIGEST = "assay.digest"  # the tag by which a unit's run, model and version are found again
EXISTS = "RESOURCE_ALREADY_EXISTS"  # MLflow's error code
# In SQLite's, PostgreSQL's and MySQL's words.
CLASH = re.compile(r"UNIQUE constraint failed|UniqueViolation|Duplicate entry")
DEFAULTS = {
    # MLflow's own 7 retries and 120 s would keep each call of a dead server waiting for minutes; the step wrapper
    # retries the whole step with a longer back-off, so MLflow itself only bridges a hiccup. Uploads have a limit of
    # their own.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "600",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # a line for every run that ends, between our own
    "MLFLOW_UV_AUTO_DETECT": "false",  # else a uv project in the working directory would be copied into the model
}
CLOUDS = ("azure", "boto3", "botocore", "google")  # their errors share no base class, and are not installed everywhere


def client() -> Any:
    """An MlflowClient for MLFLOW_TRACKING_URI, or for the SQLite file below ASSAY_HOME where that is not set."""
    for name, value in {**DEFAULTS, "MLFLOW_TRACKING_URI": f"sqlite:///{home() / 'mlflow.db'}"}.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # What goes wrong is raised, and told once; MLflow would print each attempt with its traceback.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient()


def pages() -> str:
    """The address at which a browser finds MLflow's pages; empty where MLflow is a database file.

    ASSAY_MLFLOW_PAGES where a proxy stands before it, else the server itself.
    """
    address = os.environ.get("ASSAY_MLFLOW_PAGES") or os.environ.get("MLFLOW_TRACKING_URI", "")
    return public(address).rstrip("/") if address.startswith("http") else ""


def check_access() -> None:
    """Raise RegistrationError when a server refuses us, before hours of training would end at its door.

    One that is away raises nothing: it may be back when a model is to be registered, and that step waits for it.
    """
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        with contextlib.suppress(OutsideError), outside("let us in"):
            client().search_registered_models(max_results=1)


@contextlib.contextmanager
def outside(doing: str) -> Iterator[None]:
    """Turn MLflow's errors into ours: OutsideError where a retry may heal, RegistrationError where it cannot.

    doing: what the body does, to complete `MLflow did not ...`.
    """
    try:
        yield
    except AssayError:
        raise
    except Exception as error:
        healing = _may_heal(error)
        if healing is None or is_disk_full(error.__cause__ or error.__context__):  # our own disk, and not a server's
            raise
        reason = masked((str(error).strip() or type(error).__name__).splitlines()[0])[:300]
        where = f"MLflow at {os.environ.get('MLFLOW_TRACKING_URI', '')}"
        if healing:
            todo = "start it again, or check MLFLOW_TRACKING_URI, and run the same command; it goes on from here"
            raise OutsideError(f"MLflow did not {doing}: {reason}", where=where, todo=todo) from error
        mend = (
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            if _unknown_to_it(error)
            else "mend what it names"
        )
        todo = f"{mend}, and run the same command; it goes on from here"
        raise RegistrationError(f"MLflow refused to {doing}: {reason}", where=where, todo=todo) from error


def _unknown_to_it(error: Exception) -> bool:
    """Whether the server asked who we are, and had no answer that it knows."""
    return getattr(error, "get_http_status_code", lambda: 0)() == 401


def _may_heal(error: Exception) -> bool | None:
    """Whether a retry may heal it; None when it does not come from MLflow or from what lies behind it.

    MLflow raises MlflowException for what a server said and for a server that is not there (status 500, its default),
    the same with 503 for a locked or lost database, with 400 where another process wrote the very same row since it
    looked, requests' own errors while artifacts move, SQLAlchemy's while it connects. In a store that is a folder,
    another process may make the very same folder since it looked.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import OperationalError

    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return bool(status >= 500 or status == 429 or CLASH.search(str(error)))
    if isinstance(error, RequestException):
        return error.response is None or error.response.status_code >= 500 or error.response.status_code == 429
    passing = OperationalError | ConnectionError | TimeoutError | FileExistsError
    if isinstance(error, passing) or type(error).__module__.startswith(CLOUDS):
        return True
    return False if isinstance(error, OSError) else None


def experiment(client: Any, name: str) -> str:
    """The id of the experiment `name`, made if it is not there, restored if it was deleted.

    A database that we open ourselves gets its artifacts below ASSAY_HOME: left unsaid, they would go to ./mlruns in
    whatever folder the command was typed. A server knows its own place.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        served = os.environ["MLFLOW_TRACKING_URI"].startswith(("http:", "https:", "databricks"))
        place = None if served else (home_folder("mlartifacts") / name).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place))
        except MlflowException as error:  # another process made it since we looked
            if error.error_code != EXISTS or (found := client.get_experiment_by_name(name)) is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def run(client: Any, experiment_id: str, name: str, digest: str) -> Any:
    """The run of a unit: found by its tag, else made, so that a retry or a kill leaves no second one."""
    found = runs(client, experiment_id, digest)
    return (
        found[0] if found else client.create_run(experiment_id, run_name=f"{name}-{digest[:8]}", tags={DIGEST: digest})
    )


def runs(client: Any, experiment_id: str, digest: str) -> list[Any]:
    """The runs of a unit, oldest first, in the same order for all: one, but while two machines register it."""
    return list(client.search_runs([experiment_id], _tagged(digest), order_by=["attributes.start_time ASC"]))


def only_run(client: Any, experiment_id: str, name: str, digest: str) -> Any:
    """The run of what needs no version; where two machines made one each at the same moment, the first of them for
    both.

    First by their own clocks: where these differ, one may find its run deleted, and goes without the link to it.
    """
    run(client, experiment_id, name, digest)
    first, *late = runs(client, experiment_id, digest)
    for one in late:
        client.delete_run(one.info.run_id)
    return first


def logged_model(client: Any, run: Any, name: str, digest: str) -> Any:
    """The logged model of a unit: a READY one if there is one, else what a kill left half written, else a new one."""
    found = logged_models(client, run.info.experiment_id, digest)
    if found:
        return min(found, key=lambda model: (model.status != "READY", model.creation_timestamp, model.model_id))
    from mlflow.entities import LoggedModelOutput

    made = client.create_logged_model(
        run.info.experiment_id, name=name, source_run_id=run.info.run_id, tags={DIGEST: digest}, model_type="adapter"
    )
    client.log_outputs(run.info.run_id, [LoggedModelOutput(made.model_id, step=0)])
    return made


def logged_models(client: Any, experiment_id: str, digest: str) -> list[Any]:
    """The logged models of a unit: one, but while two machines register it."""
    return list(client.search_logged_models([experiment_id], _tagged(digest)))


def version(client: Any, name: str, digest: str) -> Any | None:
    """The registered version of a unit, the first of them, or None."""
    return next(iter(versions(client, name, digest)), None)


def versions(client: Any, name: str, digest: str) -> list[Any]:
    """The registered versions of a unit, by number: one, but while two machines register it
    (tasks/registry/register_once.py).
    """
    found = client.search_model_versions(f"name = '{name}' AND {_tagged(digest)}")
    return sorted(found, key=lambda version: int(version.version))


def _tagged(digest: str) -> str:
    return f"tags.`{DIGEST}` = '{digest}'"


def model_id(version: Any) -> str:
    """The logged model of a version; MLflow's SQL store keeps it in the source only."""
    return str(version.source).removeprefix("models:/")


def its_run(client: Any, version: Any) -> Any:
    """The run of a version; what a person deleted in the UI is restored."""
    run = client.get_run(version.run_id)
    if run.info.lifecycle_stage == "deleted":
        client.restore_run(version.run_id)
    return run


def link(client: Any, version: Any) -> None:
    """Make the page of the logged model name its version, as mlflow.register_model does."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    named = json.dumps([{"name": version.name, "version": version.version}])
    client.set_logged_model_tags(model_id(version), {MLFLOW_MODEL_VERSIONS: named})


def ensure_registered_model(client: Any, name: str) -> None:
    """Make the registered model `name` unless it is there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != EXISTS:
            raise
