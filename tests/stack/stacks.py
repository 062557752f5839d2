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
        self.environment = {**os.environ, "STACK_FOLDER": str(self.folder), "STACK_ENV": str(self.settings)}
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
