"""Where the cases are played: a stack of its own, runs of a little recipe by its worker, and signals to its processes.

    stage = Stage()                  # nothing of a user's: own folder, ports, secrets
    stage.open()
    run = stage.submit(stage.scene("one"))
    stage.remove()

The stack runs as `make stack` starts it, from the same settings. Two things differ: each case finds the worker's home
empty, and the worker is held to one core, because threads of a tiny model wait for each other longer than they compute.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from infra import supervisor
from infra.health import healthy
from infra.leftovers import SERVICE, STACK
from infra.services import read_services
from tests.stack.stacks import Stack
from tests.support.little_recipe import little_recipe

# What the button Retry asks for.
RETRIED = {
    "type": "SCHEDULED",
    "name": "AwaitingRetry",
    "message": "Retried by a person.",
}


@dataclass(frozen=True)
class Scene:
    """A model's own recipe, and the worker's home. All recipes lie in one folder, and say the same but for the name."""

    model: str
    recipe: Path
    home: Path


class Stage(Stack):
    """A stack with its deployments, and what the cases do to it."""

    def open(self) -> None:
        """Bring everything up and deploy. Raises RuntimeError with the command's words when that fails."""
        if not self.settings.exists():
            self.choose_settings()
        os.environ |= {name: self.environment[name] for name in ("STACK_FOLDER", "STACK_ENV")}
        self.done(self.make("up"))
        self.done(self.make("run", "assay", "deploy"))
        values = self.values()
        self.address = f"http://127.0.0.1:{values['PREFECT_PORT']}/api"
        user, _, password = values["PREFECT_AUTH"].partition(":")
        self.auth = (user, password)
        worker = read_services()["worker"].environment
        os.environ |= {name: value for name, value in worker.items() if name.startswith("MLFLOW_")}
        self.home = Path(worker["ASSAY_HOME"])
        keeper = psutil.Process(int((self.folder / "supervisord.pid").read_text()))
        for process in (keeper, *self.service("worker")):  # what is started again inherits it
            cores = process.cpu_affinity() or [0]
            process.cpu_affinity([cores[os.getpid() % len(cores)]])  # another stage may take the other one

    def done(self, process: Any) -> str:
        if process.returncode:
            raise RuntimeError(f"{process.args} ended with {process.returncode}\n{process.stdout}\n{process.stderr}")
        return str(process.stdout)

    def scene(self, name: str, like: Path | None = None) -> Scene:
        """A model that nobody has trained, and the worker's home emptied; what the last one made is put aside.

        like: a home to begin with a copy of.
        """
        if self.home.exists():
            self.home.rename(self.homes / f"before-{name}")
        shutil.copytree(like, self.home) if like else self.home.mkdir()
        return Scene(name, little_recipe(self.folder.parent / "little", name), self.home)

    @property
    def homes(self) -> Path:
        """Where the homes of scenes that are over lie."""
        folder = self.folder.parent / "homes"
        folder.mkdir(exist_ok=True)
        return folder

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request to Prefect's API. Raises httpx.HTTPError."""
        import httpx

        answer = httpx.request(method, f"{self.address}/{path}", json=body, auth=self.auth, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def submit(self, scene: Scene, deployment: str = "retrain/retrain") -> str:
        """Ask for a run of a deployment, as the run form does; its id."""
        found = self.api("GET", f"deployments/name/{deployment}")["id"]
        asked = {"parameters": {"recipe_path": str(scene.recipe)}, "name": scene.model, "state": {"type": "SCHEDULED"}}
        return str(self.api("POST", f"deployments/{found}/create_flow_run", asked)["id"])

    def state(self, run: str) -> dict[str, Any]:
        """The run's state; empty while the server does not answer."""
        import httpx

        with contextlib.suppress(httpx.HTTPError):
            return dict(self.api("GET", f"flow_runs/{run}")["state"])
        return {}

    def retry(self, run: str) -> None:
        """Press Retry."""
        import httpx

        with contextlib.suppress(httpx.HTTPError):
            self.api("POST", f"flow_runs/{run}/set_state", {"state": RETRIED, "force": True})

    def history(self, run: str) -> list[tuple[float, str, str]]:
        """Every state that the server kept of the run: when (seconds since 1970), name, message; oldest first."""
        states = self.api("GET", f"flow_run_states/?flow_run_id={run}")
        found = [
            (datetime.fromisoformat(one["timestamp"]).timestamp(), one["name"], one["message"] or "") for one in states
        ]
        return sorted(found)

    def is_under_way(self, scene: Scene, step: str) -> bool:
        """Whether `step` is being made: its scratch folder is there; of train, a checkpoint is written."""
        wanted = "*/checkpoints/checkpoint-*" if step == "train" else "*/"
        return any(path.is_dir() for path in (scene.home / "scratch" / step).glob(wanted))

    def processes(self, hit: str) -> list[psutil.Process]:
        """The living processes that a case hits."""
        mine = self.workings()
        if hit == "trainer":
            return [
                one
                for one in mine
                if "tasks.training.trainer" in one.cmdline() and "accelerate" not in " ".join(one.cmdline())
            ]
        if hit == "run":
            return [one for one in mine if any(word.startswith("prefect.") for word in one.cmdline())]
        if hit == "machine":
            return [*mine, *self.service("worker")]
        return self.service(hit)

    def service(self, name: str) -> list[psutil.Process]:
        """The service's own process, the one that the supervisor started."""
        caller = supervisor.connect()
        pid = caller.getProcessInfo(name)["pid"] if caller else 0
        return [psutil.Process(pid)] if pid else []

    def workings(self) -> list[psutil.Process]:
        """Flow runs, and all they have started, whoever was their parent; not the worker."""
        worker = {one.pid for one in self.service("worker")}
        return [
            one for one, found in _environments() if found.get("ASSAY_HOME") == str(self.home) and one.pid not in worker
        ]

    def orphans(self) -> list[psutil.Process]:
        """Processes of this stack that are no descendants of its supervisor."""
        caller = supervisor.connect()
        held = {one.pid for one in psutil.Process(caller.getPID()).children(recursive=True)} if caller else set()
        return [one for one, found in _environments() if found.get(STACK) == str(self.folder) and one.pid not in held]

    def pause(self, names: Sequence[str], seconds: float) -> None:
        """Stop every process of these services for so long: they hold their connections and answer nothing."""
        mine = [(one, found) for one, found in _environments() if found.get(STACK) == str(self.folder)]
        stopped = [one for one, found in mine if found.get(SERVICE) in names]
        for one in stopped:
            one.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            for one in stopped:
                with contextlib.suppress(psutil.Error):
                    one.send_signal(signal.SIGCONT)

    def well(self) -> bool:
        """Whether every service that stays is healthy."""
        return all(healthy(service) for service in read_services().values() if not service.once and not service.tool)

    def worker(self, name: str) -> Any:
        """A further worker, of the same pool and with the stack's settings; the caller ends it."""
        command = ["-m", "infra.stack", "run", "prefect", "worker", "start", "--type", "process", "--pool", "assay"]
        with (self.folder / "logs" / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *command, "--name", name], env=self.environment, stdout=log, stderr=log
            )


def _environments() -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process, process.environ()
