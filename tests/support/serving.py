"""`mlflow models serve` in tests: a real server of a registered model, and questions to it over HTTP.

with serving(f"models:/{name}@champion", folder / "serve.log") as url:
    status, body = post(url, {"dataframe_records": [{"message": "Where is my parcel?"}]})
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE = 200  # seconds, for a machine that is busy with other things


@contextmanager
def serving(uri: str, log: Path) -> Iterator[str]:
    """A process of its own, ended with everything it started; where to post questions to."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "-h", "127.0.0.1"],
            cwd=log.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(f"http://127.0.0.1:{port}/ping"):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(20)
        with suppress(ProcessLookupError):  # MLflow's command does not wait for the server, which ends its work first
            os.killpg(server.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return bool(direct().open(url, timeout=5).status == 200)
    except OSError:
        return False


def post(url: str, body: dict[str, Any]) -> tuple[int, Any]:
    """(HTTP status, the answer's JSON; the text of an error)."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with direct().open(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def direct() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
