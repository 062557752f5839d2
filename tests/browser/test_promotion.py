"""Promotion in the pages of a real MLflow server on PostgreSQL: a person approves, moves an alias by hand, and takes it
back.

The commands are those that people type; what they do is read off MLflow's own pages.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.browser.servers import PATIENCE, Servers
from tests.support.registration import another, make_inputs

MODEL = "support-triage"

pytestmark = pytest.mark.timeout(1800)  # servers, three registrations, seven commands; minutes on busy cores


@pytest.fixture(scope="module")
def registered(servers: Servers) -> Iterator[Servers]:
    """Three versions that passed, 3 is challenger; and a fourth that somebody registered by hand on MLflow's page."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**servers.environment, "LOGNAME": "ada"}.items():
            patch.setenv(name, value)
        from tasks.registry import mlflow_client

        first = replace(make_inputs(servers.folder), name=MODEL)
        for inputs in (first, another(first, seed=2), another(first, seed=3)):
            inputs.register(checked=3)
        client = mlflow_client.client()
        source = client.get_model_version(MODEL, "1").source
        client.create_model_version(MODEL, source, model_id=source.removeprefix("models:/"))
        yield servers


def assay(servers: Servers, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "assay", *words],
        capture_output=True,
        text=True,
        cwd=servers.folder,
        timeout=PATIENCE,
        env={**servers.environment, "LOGNAME": "ada", "PATH": os.environ["PATH"]},
    )
    return done.returncode, done.stdout + done.stderr


def visit(page: Any, servers: Servers, version: int) -> None:
    """The page of a version, without the assistant that MLflow opens beside it."""
    page.goto(f"{servers.mlflow_url}/#/models/{MODEL}/versions/{version}")
    page.reload()
    page.get_by_role("button", name="Tags", exact=True).wait_for()
    closes = page.locator("[data-component-id='mlflow.assistant.chat_panel.close']")
    if closes.count():
        closes.click()


def tag(page: Any, name: str) -> Any:
    """The row of a tag in the table of the version's page."""
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def test_a_tag_that_a_person_sets_on_the_page_lets_the_promotion_through(
    registered: Servers, page: Any, picture: Callable[..., None]
) -> None:
    assert (
        assay(registered, "promote", MODEL, "--version", "1", "--approve", "--reason", "the first that passed")[0] == 0
    )
    code, said = assay(registered, "promote", MODEL)
    assert (code, "waits for approval" in said) == (4, True)
    visit(page, registered, 3)
    row = tag(page, "approval")
    assert "waiting; write here: approved by YOUR NAME" in row.inner_text()
    picture("promote-waiting")
    row.get_by_test_id("editable-table-button-edit").click()
    page.get_by_test_id("editable-table-edited-input").fill("approved by Eve, after reading the report")
    page.get_by_test_id("editable-table-button-save").click()
    page.get_by_text("approved by Eve, after reading the report").wait_for()
    code, said = assay(registered, "promote", MODEL, "--reason", "fewer misses on refunds")
    assert (code, "Promoted" in said) == (0, True), said
    visit(page, registered, 3)
    page.get_by_text("champion", exact=True).first.wait_for()
    assert "used for promotion 0002: approved by Eve, after reading the report" in tag(page, "approval").inner_text()
    assert "champion 1 -> 3, promote by ada" in tag(page, "alias.0002").inner_text()
    picture("promote-done")


def test_an_alias_that_a_person_moves_on_the_page_is_recorded_and_flagged(
    registered: Servers, page: Any, picture: Callable[..., None]
) -> None:
    visit(page, registered, 4)
    page.get_by_role("button", name="Add").first.click()
    page.get_by_role("dialog").get_by_role("combobox").fill("champion")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Save aliases").click()
    page.get_by_role("dialog").wait_for(state="detached")
    code, said = assay(registered, "reconcile", MODEL)
    assert code != 0
    assert "never passed its gate" in said
    visit(page, registered, 4)
    assert "champion, but support-triage version 4 never passed its gate" in tag(page, "alarm").inner_text()
    picture("reconcile-flagged")
    assert "champion was moved" not in assay(registered, "reconcile", MODEL)[1]


def test_rollback_brings_the_champion_back_and_the_page_says_why(
    registered: Servers, page: Any, picture: Callable[..., None]
) -> None:
    code, said = assay(registered, "rollback", MODEL, "--reason", "version 4 was set by mistake")
    assert (code, "Rolled back" in said) == (0, True), said
    visit(page, registered, 3)
    page.get_by_text("champion", exact=True).first.wait_for()
    page.get_by_text(
        "version 4 was set by mistake"
    ).last.scroll_into_view_if_needed()  # the newest stands below the older ones
    picture("rollback-done")
