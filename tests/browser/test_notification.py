"""People are told: a run that stops or is refused sends a message through the notification block that `assay deploy`
was given.

A real server, worker and receiver; no browser. What a message says is what a data team reads first, so it is asserted
in words.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.servers.automations import NOTIFY
from tests.browser.servers import AUTH, HOST, Servers, until

pytestmark = pytest.mark.timeout(1800)
TOKEN = (
    "hook-secret-7f3a"  # what the receiver asks for: it may travel in the header, and in nothing that a person reads
)
BLOCK = """
from prefect.blocks.notifications import CustomWebhookNotificationBlock
CustomWebhookNotificationBlock(
    name="assay", url={url!r}, headers={{"Authorization": "Bearer {{{{token}}}}"}}, secrets={{"token": {token!r}}},
    json_data={{"text": "{{{{subject}}}}\\n{{{{body}}}}"}},
).save("assay")
"""


class Receiver:
    """An HTTP server as a chat's webhook is one; keeps (headers, JSON) of each message."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], Any]] = []
        receiver = self

        class Keep(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append((dict(self.headers), json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((HOST, 0), Keep)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server.server_port}/hook"

    def text_of(self, run: str) -> str:
        """The message about a run, once it is there; fails where there are two."""
        about = [text for _, body in self.messages if f"/flow-run/{run}" in (text := body["text"])]
        assert len(about) < 2, about
        return about[0] if about else ""


@pytest.fixture(scope="module")
def receiver(servers: Servers, recipes: Path) -> Iterator[Receiver]:
    """Told of by a block on the server, which `assay deploy` is given; a worker runs what is started."""
    receiver = Receiver()
    servers.run_code(BLOCK.format(url=receiver.url, token=TOKEN))
    servers.environment[NOTIFY] = "custom-webhook/assay"
    told = servers.run("assay", "deploy")
    del servers.environment[NOTIFY]
    assert "automation Assay: tell people" in told
    assert "left out" not in told
    servers.start_worker("telling")
    yield receiver
    receiver.server.shutdown()


def start(servers: Servers, recipe: Path) -> str:
    deployment = servers.api("GET", "deployments/name/retrain/retrain")["id"]
    asked = {"parameters": {"recipe_path": str(recipe)}, "state": {"type": "SCHEDULED"}}
    return str(servers.api("POST", f"deployments/{deployment}/create_flow_run", asked)["id"])


@pytest.mark.parametrize(
    ("name", "state", "said"),
    [
        ("missing", "Failed", ("There is no recipe", "to do:   check the name, or start from a copy")),
        (
            "blocked",
            "Blocked",
            ("broke its contract strict", "to do:   mend the rows that failing_rows.csv there names"),
        ),
        ("refused", "Refused", ("1 of 1 gate rules did not pass", "To do: read in the report which rule did not hold")),
    ],
)
def test_a_message_says_what_happened_and_what_to_do_with_a_link_and_no_secret(
    receiver: Receiver, servers: Servers, recipes: Path, name: str, state: str, said: tuple[str, ...]
) -> None:
    run = start(servers, recipes / f"{name}.yaml")
    assert servers.wait_for(run, "Completed", "Failed", "Blocked", "Refused", "Undecided") == state
    until(lambda: receiver.text_of(run), f"the message about {state}", 60)
    text = receiver.text_of(run)
    assert text.startswith(f"retrain is {state}: ")
    assert all(words in text for words in said), text
    assert f"{servers.prefect_url}/runs/flow-run/{run}" in text
    (headers,) = (headers for headers, body in receiver.messages if body["text"] == text)
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert not any(secret in text for secret in (TOKEN, AUTH, AUTH.split(":")[1]))


def test_a_run_that_went_well_sends_nothing(receiver: Receiver, servers: Servers, recipes: Path) -> None:
    deployment = servers.api("GET", "deployments/name/curate/curate")["id"]
    asked = {"parameters": {"recipe_path": str(recipes / "little.yaml")}, "state": {"type": "SCHEDULED"}}
    run = str(servers.api("POST", f"deployments/{deployment}/create_flow_run", asked)["id"])
    assert servers.wait_for(run, "Completed", "Failed") == "Completed"
    failed = start(servers, recipes / "missing.yaml")  # whose message comes after it would have come
    until(lambda: receiver.text_of(failed), "the message about the other run", 120)
    assert not receiver.text_of(run)
