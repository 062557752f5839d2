from __future__ import annotations

import ast
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.core.process import run_page


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(port: int, statuses: list[int]) -> Iterator[list[int]]:
    """A server that answers with these statuses in turn, the last one for good; yields those it gave."""
    given: list[int] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given.append(statuses[min(len(given), len(statuses) - 1)])
            self.send_response(given[-1])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    running = HTTPServer(("127.0.0.1", port), Answer)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield given
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def post(port: int) -> Any:
    return lambda **_: httpx.post(f"http://127.0.0.1:{port}", timeout=5).raise_for_status()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_page, "WAITS", (0.05, 0.1, 0.4, 0.8))


def test_waits_for_a_server_that_restarts() -> None:
    port = free_port()
    came: list[list[int]] = []

    def restart() -> None:
        with server(port, [503, 201]) as given:
            came.append(given)
            done.wait(20)

    done = threading.Event()
    later = threading.Timer(0.2, restart)
    later.start()
    run_page.show(post(port), key="check")
    done.set()
    later.join()
    assert came == [[503, 201]]


def test_a_server_that_stays_away_costs_the_page_and_not_the_work(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run_page.show(post(free_port()), key="check")
    assert "not shown on the run's page: check" in caplog.text


def test_what_the_server_refuses_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with server(port, [422]) as given:
        run_page.show(post(port), key="check")
    assert given == [422]
    assert "422" in caplog.text


def test_another_error_is_no_matter_of_the_page() -> None:
    def broken(**_: Any) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run_page.show(broken, key="check")


def test_nothing_else_puts_an_artifact_on_a_page_but_progress_which_never_waits() -> None:
    root = Path(run_page.__file__).parents[3]
    callers = {
        file.name
        for folder in ("flows", "tasks")
        for file in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "").startswith("create_")
        and getattr(node.func, "id", "").endswith("_artifact")
    }
    assert callers == {"progress.py"}
