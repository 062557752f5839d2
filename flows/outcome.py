"""What a run of retrain came to, on its page: the artifact `outcome`, and links into MLflow.

A browser cannot open a file of a worker, so against an MLflow server the report is linked there, also that of a model which was
refused. Prefect shows artifacts in no order, so this one tells the story from the rows to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from prefect.artifacts import create_link_artifact
from prefect.logging import get_run_logger

from flows.states import NEXT_BY_VERDICT
from tasks.core import tracking
from tasks.core.errors import AssayError
from tasks.core.handle import Handle
from tasks.core.page import show
from tasks.report import PAGE, publish


def tell_outcome(
    model: str, report: Handle, version: Handle | None, steps: Sequence[Handle], contract: Handle, promoted: str
) -> None:
    """Publish it on the page of the flow run under way. steps: the row steps in order. promoted: as `judged` has it."""
    links = _links(model, report, version)
    for key, (title, address, described) in links.items():
        show(create_link_artifact, link=address, link_text=title, key=key, description=described)
    linked = [f"- [{title}]({address})" for title, address, _ in links.values()]
    todo = [promoted or f"**To do:** {NEXT_BY_VERDICT[report.facts()['verdict']]}.", ""]
    held = f"{contract.facts()['line']} (artifact `check`)"
    publish(report, linked, [*todo, "## Rows", "", *waterfall(steps), "", "## Contract", "", held])


def waterfall(steps: Sequence[Handle]) -> list[str]:
    """The rows after each step that took some away, as a Markdown table."""
    lines = ["| step | rows | dropped | quarantined |", "|---|--:|--:|--:|"]
    for step in steps:
        facts = step.facts()
        dropped, held = (sum(facts["counts"].get(action, {}).values()) for action in ("dropped", "quarantined"))
        if dropped or held or step is steps[0]:
            lines.append(f"| {step.step} | {facts['kept']:,} | {dropped or ''} | {held or ''} |")
    return lines


def _links(model: str, report: Handle, version: Handle | None) -> dict[str, tuple[str, str, str]]:
    """Artifact key to (title, address, description); none where MLflow is a database file and has no pages.

    A model that was not registered gets a run in MLflow for its report alone. An MLflow that is away only costs the links.
    """
    pages = tracking.pages()
    if not pages:
        return {}
    try:
        place = version.facts() if version else _report_run(model, report)
    except AssayError as error:
        get_run_logger().warning("The report is not linked: %s", error)
        return {}
    run = f"{pages}/#/experiments/{place['experiment_id']}/runs/{place['run_id']}/artifacts/{PAGE}"
    links = {"report": ("The report, in MLflow", run, report.facts()["line"])}
    if version:
        page = f"{pages}/#/models/{quote(place['name'], safe='')}/versions/{place['version']}"
        title = f"{place['name']} version {place['version']}, in MLflow"
        links["model"] = (title, page, f"Alias {place['alias']}: evidence, files, tags")
    return links


def _report_run(model: str, report: Handle) -> dict[str, Any]:
    """The MLflow run that holds the report of a model that was not registered; one a report, also when it is told again."""
    with tracking.outside("take the report"):
        client = tracking.client()
        run = tracking.only_run(client, tracking.experiment(client, model), model, report.digest)
        client.set_tag(run.info.run_id, "assay.verdict", report.facts()["verdict"])
        client.log_artifact(run.info.run_id, str(report.folder / PAGE))
        client.set_terminated(run.info.run_id, "FINISHED")
    return {"experiment_id": run.info.experiment_id, "run_id": run.info.run_id}
