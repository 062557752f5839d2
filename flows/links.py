"""Links from a run's page to MLflow: the model version, and the report, which no browser can open as a file of a worker."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from prefect.artifacts import create_link_artifact
from prefect.logging import get_run_logger

from tasks.core import tracking
from tasks.core.errors import AssayError
from tasks.core.handle import Handle
from tasks.report import PAGE


def publish_links(model: str, report: Handle, version: Handle | None) -> None:
    """Put the links on the page of the flow run under way; none where MLflow is a database file and has no pages.

    A model that was not registered gets a run in MLflow for its report alone. An MLflow that is away only costs the links.
    """
    pages = tracking.pages()
    if not pages:
        return
    try:
        place = version.facts() if version else _report_run(model, report)
    except AssayError as error:
        get_run_logger().warning("The report is not linked: %s", error)
        return
    run = f"{pages}/#/experiments/{place['experiment_id']}/runs/{place['run_id']}/artifacts/{PAGE}"
    create_link_artifact(run, "The report, in MLflow", key="report", description=report.facts()["line"])
    if version:
        number, name = place["version"], place["name"]
        told = f"{name}, version {number}, alias {place['alias']}"
        link = f"{pages}/#/models/{quote(name, safe='')}/versions/{number}"
        create_link_artifact(link, told, key="model", description="The registered model: evidence, files, tags")


def _report_run(model: str, report: Handle) -> dict[str, Any]:
    """The MLflow run that holds the report of a model that was not registered; one a report, also when it is told again."""
    with tracking.outside("take the report"):
        client = tracking.client()
        run = tracking.run(client, tracking.experiment(client, model), model, report.digest)
        client.set_tag(run.info.run_id, "assay.verdict", report.facts()["verdict"])
        client.log_artifact(run.info.run_id, str(report.folder / PAGE))
        client.set_terminated(run.info.run_id, "FINISHED")
    return {"experiment_id": run.info.experiment_id, "run_id": run.info.run_id}
