"""The embedded servers: Prefect and MLflow on SQLite below ASSAY_HOME, each a process of our own.

    server = embedded.join(embedded.PREFECT)    # starts it, or joins the one another `assay` started; returns at once
    server.wait()                               # until it answers

Prefect's own ephemeral server gives up after 20 s, which two busy cores need, and prints tracebacks when it stops.

Who ends a server? Each process that uses it holds a shared lock on HOME/services/<name>.users, and a small keeper (this
module, run with -m) ends the server once nobody does. The kernel lets go of a dead process's lock, so no kill -9 leaves
a server behind, and no user pulls it away from another. On Linux a server also dies with its keeper.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from filelock import FileLock

from tasks.core.errors import AssayError
from tasks.core.home import home, home_folder
from tasks.core.process.child import child_environment

HOST = "127.0.0.1"  # never on the network: neither server asks who is there
START_SECONDS = 120  # the very first start makes the database: 33 s on two idle cores, more on busy ones
STOP_SECONDS = 10  # Prefect needs about two to write its last events
TAIL = 12  # log lines shown when a server does not start


@dataclass(frozen=True)
class Service:
    """A server we can run. health: a path that answers 200 when it is ready. command, settings: given its port."""

    name: str
    title: str
    health: str
    command: Callable[[int], list[str]]
    settings: Callable[[int], dict[str, str]]


def _mlflow_command(port: int) -> list[str]:
    store = os.environ["MLFLOW_TRACKING_URI"]
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        store,
        "--default-artifact-root",
        str(home() / "mlartifacts"),
    ]


PREFECT = Service(
    "prefect",
    "Prefect",
    "/api/health",
    lambda port: [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)],
    # Without it the page asks port 4200, whatever port it came from.
    lambda port: {"PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api"},
)
# Job execution serves MLflow's LLM judges, which we do not use, with two more processes.
MLFLOW = Service(
    "mlflow", "MLflow", "/health", _mlflow_command, lambda _: {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
)
SERVICES = {service.name: service for service in (PREFECT, MLFLOW)}


@dataclass(frozen=True)
class Server:
    """A server this process uses.

    users: the descriptor whose lock keeps it running, open until we exit. started: by us, for nobody used one.
    """

    service: Service
    port: int
    users: int
    started: bool

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        return home() / "logs" / f"{self.service.name}.log"

    def wait(self) -> None:
        """Return once the server answers. Raises AssayError, with its last log lines, when it does not in 120 s."""
        deadline = time.monotonic() + START_SECONDS
        while get(self.url + self.service.health) is None:
            if not self.alive():
                raise self.failure("ended while it started")
            if time.monotonic() > deadline:
                raise self.failure(f"did not answer within {START_SECONDS} s")
            time.sleep(0.1)

    def alive(self) -> bool:
        """Whether its keeper lives, and so the server does or is being started."""
        with FileLock(_file(self.service, "lock")), _file(self.service, "json").open("a") as record:
            return not _lock(record)

    def failure(self, what: str) -> AssayError:
        """The error for a server that did `what`, with its last log lines."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL:] if self.log.exists() else []
        return AssayError(
            f"The {self.service.title} server {what}. Its last words:\n" + "\n".join(f"    {line}" for line in lines),
            where=str(self.log),
            todo="mend what the log names and run the same command again",
        )


def join(service: Service) -> Server:
    """Use the server of this home, started now if it is not running. Returns before it answers: call `wait`."""
    home_folder("logs")
    with FileLock(_file(service, "lock")):
        users = os.open(_file(service, "users"), os.O_RDWR | os.O_CREAT)
        fcntl.flock(users, fcntl.LOCK_SH)  # waits here while a server that nobody used is being ended
        with _file(service, "json").open("a+") as record:
            record.seek(0)
            known = json.loads(record.read() or "{}")
            if started := _lock(record):
                known = {"port": _free_port(known.get("port", 0))}
                _start(service, known["port"], record)
    return Server(service, known["port"], users, started)


def _start(service: Service, port: int, record: TextIO) -> None:
    """Start a keeper, which takes over the lock on `record` that we hold: as long as it lives, the lock is held."""
    record.truncate(0)
    record.write(json.dumps({"port": port}))
    record.flush()
    held = record.fileno()
    subprocess.Popen(
        [sys.executable, "-m", __name__, service.name, str(port), str(held)],
        pass_fds=[held],
        env=child_environment(),  # and so its server's
        start_new_session=True,  # Ctrl-C is for the run; it must still be able to report that it was stopped
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def keep(service: Service, port: int, record: int) -> None:
    """Run the server until it ends by itself or nobody uses it any more; the body of the keeper process.

    record: the descriptor whose lock says that this keeper is alive.
    """
    with (home() / "logs" / f"{service.name}.log").open("w") as log, _file(service, "users").open("r+") as users:
        server = subprocess.Popen(
            service.command(port),
            env={**os.environ, **service.settings(port)},
            preexec_fn=_end_with_parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        while server.poll() is None and not _lock(users):
            time.sleep(0.3)
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
        os.close(record)  # before `users` lets the next process in, which would take us for alive


def _end_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _file(service: Service, kind: str) -> Path:
    return home_folder("services") / f"{service.name}.{kind}"


def _lock(file: TextIO) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def get(url: str) -> str | None:
    """The body of a GET to one of our servers; None when it does not answer with success."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:  # refused, reset, timed out, or an HTTP error
        return None


def _free_port(last: int) -> int:
    """A free port; the one of last time if it is free, so that a page left open in the browser works again."""
    for port in (last, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise AssayError(f"There is no free port on {HOST}.", todo="stop some server on this machine")


if __name__ == "__main__":
    keep(SERVICES[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]))
