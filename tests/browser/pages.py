"""Prefect's pages as a person uses them: sign in, open a deployment, fill its form, submit, retry, cancel."""

from __future__ import annotations

import re
import time
from typing import Any

from tests.browser.servers import AUTH, Servers


class Prefect:
    """Prefect's pages in one browser page. Everything is found by the words a person reads."""

    def __init__(self, page: Any, servers: Servers) -> None:
        self.page, self.servers = page, servers

    def sign_in(self, password: str = AUTH) -> None:
        self.page.goto(self.servers.prefect_url)
        self.page.get_by_placeholder("admin:pass").fill(password)
        self.page.get_by_role("button", name="Login").click()

    def is_in(self) -> None:
        self.page.get_by_role("link", name="Deployments").wait_for()

    def open_form(self, deployment: str) -> None:
        self.page.goto(f"{self.servers.prefect_url}/v2/deployments")
        self.page.get_by_role("link", name=deployment, exact=True).first.click()
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_role("menuitem").filter(has_text="Custom").click()
        self.page.get_by_role("button", name="Submit").wait_for()

    def fill(self, **values: str) -> None:
        """By the beginning of the field's title."""
        for title, value in values.items():
            self.page.get_by_label(re.compile(f"^{title.replace('_', ' ')}")).fill(value)

    def submit(self) -> str:
        """Press Submit and open the run; its id. Its link "View run" goes after some seconds, which a busy machine
        misses.
        """
        with self.page.expect_response(re.compile("/create_flow_run$"), timeout=60_000) as answered:
            self.page.get_by_role("button", name="Submit").click()
        run = str(answered.value.json()["id"])
        self.open_run(run)
        return run

    def start(self, deployment: str, **values: str) -> str:
        self.open_form(deployment)
        self.fill(**values)
        return self.submit()

    def open_run(self, run: str, tab: str = "Artifacts") -> None:
        self.page.goto(f"{self.servers.prefect_url}/v2/runs/flow-run/{run}?tab={tab.replace(' ', '')}")
        self.page.get_by_role("tab", name=tab).click()

    def shows(self, *texts: str) -> None:
        """Wait until the page shows each of them."""
        for text in texts:
            self.page.get_by_text(text).first.wait_for()

    def open_artifact(self, run: str, key: str) -> None:
        """The newest of this key that the run has, as its own page."""
        asked = {
            "artifacts": {"flow_run_id": {"any_": [run]}, "key": {"any_": [key]}},
            "sort": "UPDATED_DESC",
            "limit": 1,
        }
        (found,) = self.servers.api("POST", "artifacts/filter", asked)
        self.open_run(run)
        self.page.get_by_text(key, exact=True).first.click()
        self.page.get_by_role("link", name=found["id"][:8]).click()

    def menu(self, run: str, item: str) -> float:
        """Choose from the run's menu, and confirm; when the confirming click was made (time.monotonic)."""
        self.open_run(run, "Logs")
        self.page.get_by_role("button", name="Open menu").last.click()
        self.page.get_by_role("menuitem", name=item).click()
        confirm = self.page.get_by_role("alertdialog").get_by_role("button", name=re.compile(f"^{item}")).last
        confirm.wait_for()
        pressed = time.monotonic()
        confirm.click()
        return pressed
