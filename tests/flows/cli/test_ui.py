"""`assay ui` shows both pages of a home, leads to the model that was registered last, and leaves nothing running."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def test_both_pages_answer_until_an_interrupt_and_the_model_is_linked(
    home: Path, prefect_database: Path, mlflow_database: Path
) -> None:
    from mlflow import MlflowClient

    shutil.copyfile(prefect_database, home / "prefect.db")
    shutil.copyfile(mlflow_database, home / "mlflow.db")
    MlflowClient(f"sqlite:///{home / 'mlflow.db'}").create_registered_model("support-triage")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    page = subprocess.Popen(
        [sys.executable, "-m", "assay", "ui"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
    )
    assert page.stdout is not None
    told = "".join(page.stdout.readline() for _ in range(3))
    ports = [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)/", told)]
    assert len(ports) == 2, told
    assert f":{ports[1]}/#/models/support-triage" in told
    assert all(answers(port) for port in ports)
    page.send_signal(signal.SIGINT)
    _, errors = page.communicate(timeout=20)
    assert (page.returncode, errors) == (0, "")
    deadline = time.monotonic() + 20
    while any(answers(port) for port in ports):
        assert time.monotonic() < deadline, "a server was left behind"
        time.sleep(0.1)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
