"""infra/health.py: what counts as an answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.health import answers, services_report


class Says(BaseHTTPRequestHandler):
    """Answers /200 with 200, and so on."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Says)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_only_success_is_health(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a company's proxy is not asked for our own servers
    assert answers(f"{server}/200")
    assert not answers(f"{server}/401")
    assert not answers(f"{server}/503")


def test_a_server_that_is_not_there_is_not_healthy() -> None:
    assert not answers("http://127.0.0.1:9/health")
    assert not services_report({"PREFECT_SERVER_DOCKET_URL": "redis://127.0.0.1:9/0"})
