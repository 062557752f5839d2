"""What a run of retrain came to, on its page: the artifact `outcome`, and links into MLflow.

A browser cannot open a file of a worker, so against an MLflow server the report is linked there, also that of a model
which was refused. Prefect shows artifacts in no order, so this one tells the story from the rows to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from prefect.artifacts import create_link_artifact
from prefect.logging import get_run_logger

from flows.run.final_states import NEXT_BY_VERDICT
from tasks.core.errors import AssayError
from tasks.core.facts import RowFacts
from tasks.core.handle import Handle
from tasks.core.process.run_page import show
from tasks.evaluation.report import PAGE, publish
from tasks.facts.report import ReportFacts
from tasks.facts.version import VersionFacts, VersionTold
from tasks.registry import mlflow_client


def publish_outcome(
    model: str, report: Handle, version: Handle | None, steps: Sequence[Handle], contract: Handle, promoted: str
) -> None:
    """Publish it on the page of the flow run. steps: the row steps in order. promoted: as in verdict_state."""
    links = _links(model, report, version)
    for key, (title, address, described) in links.items():
        show(create_link_artifact, link=address, link_text=title, key=key, description=described)
    linked = [f"- [{title}]({address})" for title, address, _ in links.values()]
    todo = [promoted or f"**To do:** {NEXT_BY_VERDICT[ReportFacts.of(report).verdict]}.", ""]
    held = f"{contract.line} (artifact `check`)"
    publish(report, linked, [*todo, "## Rows", "", *waterfall(steps), "", "## Contract", "", held])


def waterfall(steps: Sequence[Handle]) -> list[str]:
    """The rows after each step that took some away, as a Markdown table."""
    lines = ["| step | rows | dropped | quarantined |", "|---|--:|--:|--:|"]
    for step in steps:
        facts = RowFacts.of(step)
        dropped, held = (sum(facts.counts.get(action, {}).values()) for action in ("dropped", "quarantined"))
        if dropped or held or step is steps[0]:
            lines.append(f"| {step.step} | {facts.kept:,} | {dropped or ''} | {held or ''} |")
    return lines


def _links(model: str, report: Handle, version: Handle | None) -> dict[str, tuple[str, str, str]]:
    """Artifact key to (title, address, description); none where MLflow is a database file and has no pages.

    A model that was not registered gets a run in MLflow for its report alone. An MLflow that is away only costs the
    links.
    """
    pages = mlflow_client.pages()
    if not pages:
        return {}
    try:
        experiment, run = _version_run(version) if version else _report_run(model, report)
    except AssayError as error:
        get_run_logger().warning("The report is not linked: %s", error)
        return {}
    address = f"{pages}/#/experiments/{experiment}/runs/{run}/artifacts/{PAGE}"
    links = {"report": ("The report, in MLflow", address, report.line)}
    if version:
        facts = VersionFacts.of(version)
        page = f"{pages}/#/models/{quote(facts.name, safe='')}/versions/{facts.version}"
        title = f"{facts.name} version {facts.version}, in MLflow"
        links["model"] = (title, page, f"Alias {facts.alias}: evidence, files, tags")
    return links


def _version_run(version: Handle) -> tuple[str, str]:
    """The ids of the version's experiment and run."""
    told = VersionTold.of(version)
    return told.experiment_id, told.run_id


def _report_run(model: str, report: Handle) -> tuple[str, str]:
    """The ids of experiment and run in MLflow with the report of a model that was not registered; one a report."""
    with mlflow_client.outside("take the report"):
        client = mlflow_client.client()
        run = mlflow_client.only_run(client, mlflow_client.experiment(client, model), model, report.digest)
        client.set_tag(run.info.run_id, "assay.verdict", ReportFacts.of(report).verdict)
        client.log_artifact(run.info.run_id, str(report.folder / PAGE))
        client.set_terminated(run.info.run_id, "FINISHED")
    return run.info.experiment_id, run.info.run_id
