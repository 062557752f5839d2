"""What the flows on registered models share: parameters as the run form shows them, and what the
page of a run tells.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.run import LONGEST_REASON
from flows.run.parameters import shown
from tasks.core.errors import AssayError, PromotionError
from tasks.core.process.run_page import show
from tasks.core.text.user_input import typed_line
from tasks.registry import mlflow_client
from tasks.registry.promotion_ledger import Ledger
from tasks.registry.promotion_pages import table

Model = Annotated[
    str, shown("Model", "The registered model's name in MLflow, for example support-triage.", min_length=1)
]
Version = Annotated[int, shown("Version", "The version to promote. 0: the one that has the alias challenger.", ge=0)]
Approve = Annotated[
    bool,
    shown(
        "Approve",
        "Switch on to approve it here. Else the version's tag `approval` in MLflow must say: approved by NAME.",
    ),
]
Reason = Annotated[
    str,
    shown(
        "Reason",
        "Why, and who you are: it stands in the promotion ledger for good, and Prefect cannot tell persons apart. "
        f"At most {LONGEST_REASON:,} characters.",
        max_length=LONGEST_REASON,
    ),
]
NeededReason = Annotated[
    str,
    shown(
        "Reason",
        f"Why, and who you are: it stands in the promotion ledger for good. Needed; at most {LONGEST_REASON:,} "
        f"characters.",
        min_length=1,
        max_length=LONGEST_REASON,
    ),
]
AnyModel = Annotated[str, shown("Model", "The registered model's name in MLflow. Empty: every model of Assay.")]


def why(reason: str, needed: bool = False) -> str:
    """The reason as the ledger keeps it. Raises PromotionError for one that does not print, or is needed and empty."""
    try:
        said = typed_line(reason, "parameter: reason")
    except AssayError as error:
        raise PromotionError(error.what, where=error.where, allowed=error.allowed, todo=error.todo) from error
    if needed and not said:
        raise PromotionError(
            "A rollback needs a reason; this one is empty.",
            where="parameter: reason",
            todo="say in a few words why, and who you are",
        )
    return said


def publish_ledger(ledger: Ledger) -> None:
    """Show the promotion ledger on the page of the run that is under way."""
    if ledger.entries:
        key = f"promotions-{_slug(ledger.model)}"
        described = f"Promotion ledger of **{ledger.model}**, newest first"
        show(create_table_artifact, table=table(ledger), key=key, description=described)


def publish_words(name: str, text: str, model: str, version: int = 0) -> None:
    """Show how it ended, with a link to the model or the version where MLflow has pages."""
    pages = mlflow_client.pages()
    page = f"{pages}/#/models/{quote(model, safe='')}" + (f"/versions/{version}" if version else "")
    link = f"\n\n[{model}{f' version {version}' if version else ''} in MLflow]({page})" if pages else ""
    said = f"# {name}\n\n```\n{text}\n```{link}"
    show(create_markdown_artifact, markdown=said, key="outcome", description=f"{name}: {text.splitlines()[0]}")


def _slug(name: str) -> str:
    """A name as Prefect allows it in a key: lower-case letters, digits, dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def outcome(ledger: Ledger, line: str) -> dict[str, Any]:
    """What a flow gives back: the aliases as they stand, and the outcome in a sentence."""
    return {"model": ledger.model, "champion": ledger.champion, "previous": ledger.previous, "line": line}
