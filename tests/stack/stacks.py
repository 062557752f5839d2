"""A stack of its own for a test: a folder, a settings file with random secrets and free ports, and calls to it."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from dotenv import dotenv_values, set_key

from infra.settings import CODE, EXAMPLE

PORTS = [name for name in dotenv_values(EXAMPLE) if name.endswith("_PORT")]
SECONDS = 580


class Stack:
    """STACK_FOLDER and STACK_ENV of a stack in a new folder; nothing runs until `make("up")`."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="stack-"))
        folder.chmod(0o755)  # PostgreSQL is not root's: its user must be able to enter
        self.folder, self.settings = folder / "stack", folder / "stack.env"
        own = {"STACK_FOLDER": str(self.folder), "STACK_ENV": str(self.settings), "PYTHONPATH": str(CODE)}
        self.environment = {**os.environ, **own}  # PYTHONPATH: this checkout's code, whichever is installed
        for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "ASSAY_HOME"):
            self.environment.pop(name, None)

    def choose_settings(self) -> None:
        subprocess.run([sys.executable, "-m", "infra.settings"], env=self.environment, cwd=CODE, check=True)
        for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
            set_key(self.settings, name, str(port), quote_mode="never")

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m infra.stack WORDS`; its output is kept, its exit code not judged."""
        return self.call(sys.executable, "-m", "infra.stack", *words)

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this stack's variables."""
        return subprocess.run(command, env=self.environment, cwd=CODE, capture_output=True, text=True, timeout=SECONDS)

    def client(self) -> dict[str, str]:
        """The variables of a client outside the stack that comes in by the proxy's door to MLflow,
        as an administrator.
        """
        values = self.values()
        return {
            "MLFLOW_TRACKING_URI": f"http://localhost:{values['MLFLOW_PUBLIC_PORT']}",
            "MLFLOW_TRACKING_USERNAME": values["MLFLOW_ADMIN_USERNAME"],
            "MLFLOW_TRACKING_PASSWORD": values["MLFLOW_ADMIN_PASSWORD"],
        }

    def prefect(self, method: str, path: str, body: Any = None) -> Any:
        """One request of JSON to Prefect's API, by the proxy's door."""
        import httpx

        values = self.values()
        url, who = f"http://localhost:{values['PREFECT_PUBLIC_PORT']}/api/{path}", values["PREFECT_AUTH"].split(":")
        answer = httpx.request(method, url, json=body, auth=(who[0], who[1]), timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def remove(self) -> None:
        """End it and remove all it wrote."""
        self.make("down")
        shutil.rmtree(self.folder.parent)

    def values(self) -> dict[str, str]:
        return {name: value or "" for name, value in dotenv_values(self.settings).items()}


def free_ports(number: int) -> list[int]:
    """Ports that are free now, as the ones 10000 above them are: SeaweedFS takes both."""
    found: list[int] = []
    while len(found) < number:
        port = random.randrange(12000, 22000)
        if port not in found and all(_is_free(one) for one in (port, port + 10000)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
