"""Processes in tests, forked from one that has imported the libraries, and computed nothing.

    python -P -B tests/support/preloaded.py serve FOLDER PROGRAM     (started by `Preloaded`, ends with its standard input)
    python -P -B tests/support/preloaded.py run FOLDER MODULE ...    (is in all that is seen of it `python -m MODULE ...`)

To import torch, transformers, peft, datasets and MLflow takes seconds of a core, and the suite loads dozens of versions
and trains dozens of tiny models. What runs in a fork is the program itself: PROGRAM, which is
tasks/registry/loaded_version_main.py, or a module as tasks.training.trainer or tests/support/forked_command.py. Tests
of their own, test_loaded_version.py, test_train.py and test_retrain.py, start them as users do, the trainer by its
launcher. This file imports nothing of ours either.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib.util
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

LIBRARIES = (
    "torch",
    "pandas",
    "mlflow.pyfunc",
    "mlflow.models",
    "transformers.models.llama.modeling_llama",
    "transformers.generation",
    "peft",
    "datasets",
    "accelerate",
    "transformers.trainer",
    "trl.trainer.sft_trainer",
    "mlflow.store.tracking.sqlalchemy_store",
    "sklearn.decomposition",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "cleanlab.filter",
    "great_expectations",
    "ftfy",
)
ROOT = str(Path(__file__).parents[2])
SOCKET = "socket"
HERE = (sys.executable, "-P", "-B", __file__)


class Preloaded:
    """Starts such processes in place of those of the product; the one they come of is started with the first.

    folder: its own, and short, as a socket's path must be. All processes that name the same one share it.
    """

    def __init__(self, folder: Path, program: str, settings: dict[str, str]) -> None:
        """settings: variables that the libraries read when they are imported."""
        self.folder, self.program, self.settings = folder, program, settings
        self.holder = 0

    def serve(self) -> None:
        """Return once it answers. It lives while anybody holds it: it reads a FIFO, which ends when the last who has it
        open is gone.
        """
        self.folder.mkdir(exist_ok=True)
        fifo = self.folder / "holders"
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # threads of one process wait for each other too
            if self.holder:
                return
            if not fifo.exists():
                os.mkfifo(fifo)
            self.holder = os.open(fifo, os.O_RDWR)
            if not (self.folder / SOCKET).exists():
                command, environment = [*HERE, "serve", self.folder, self.program], {**os.environ, **self.settings}
                with open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)) as holders:
                    started = subprocess.Popen(command, stdin=holders, stdout=subprocess.PIPE, env=environment)
                assert started.stdout
                assert started.stdout.readline() == b"ready\n"

    def end(self) -> None:
        if self.holder:
            os.close(self.holder)

    def start(self, folder: Path, threads: int, log: IO[bytes]) -> Any:
        """In place of tasks.registry.loaded_version.start."""
        self.serve()
        (asked, ask), (told, tell) = os.pipe(), os.pipe()
        minder = connect(self.folder, {"folder": str(folder), "threads": threads}, [asked, tell, log.fileno()])
        os.close(asked)
        os.close(tell)
        return Forked(minder, ask, told)

    def command(self, module: str, *arguments: str) -> list[str]:
        """In place of `python -m MODULE ...`."""
        self.serve()
        return [*HERE, "run", str(self.folder), module, *arguments]


class Forked:
    """What LoadedVersion needs of a Popen."""

    def __init__(self, minder: socket.socket, ask: int, told: int) -> None:
        self.stdin, self.stdout = os.fdopen(ask, "w", encoding="ascii"), os.fdopen(told, encoding="ascii")
        self.minder, self.words = minder, minder.makefile()
        self.pid, self.code = int(self.words.readline()), None

    def wait(self, timeout: float | None = None) -> int:
        if self.code is None:
            if not select.select([self.minder], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a loaded version", timeout or 0)
            self.code = int(self.words.readline())
            self.minder.close()
        return self.code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def connect(folder: Path, asked: dict[str, Any], descriptors: list[int]) -> socket.socket:
    """Ask for a fork that works here, with this environment and with these as its standard input, output and error."""
    minder = socket.socket(socket.AF_UNIX)
    minder.connect(str(folder / SOCKET))
    given = {**asked, "cwd": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(minder, [json.dumps(given).encode() + b"\n"], descriptors)
    return minder


def run(folder: str, module: str, *arguments: str) -> None:
    """Be in place of a fork: it writes where this process would, ends with it, and gives it its exit code."""
    words = connect(Path(folder), {"module": module, "arguments": arguments}, [0, 1, 2]).makefile()
    words.readline()
    code = int(words.readline())
    os._exit(code) if code >= 0 else os.kill(os.getpid(), -code)


def serve(folder: str, program: str) -> None:
    """Fork a minder for each that connects, until standard input ends; then remove the folder."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # which no fork looks through, nor copies for that
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(Path(folder) / SOCKET))
    listener.listen()
    print("ready", flush=True)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        minder, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            mind(minder, program)
            os._exit(0)
        minder.close()
    shutil.rmtree(folder)
    os._exit(0)


def mind(minder: socket.socket, program: str) -> None:
    """Fork the process, tell its number, wait for it and tell how it ended; end it when who asked for it is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words, descriptors, _, _ = socket.recv_fds(minder, 1 << 16, 3)
    while not words.endswith(b"\n"):
        words += minder.recv(1 << 16)
    child = os.fork()
    if child == 0:
        minder.close()
        become(json.loads(words), descriptors, program)
        atexit.register(gc.freeze)  # without a last look through all objects of the libraries
        sys.exit()
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):
        minder.sendall(f"{child}\n".encode())
        ended = os.pidfd_open(child)
        if ended not in select.select([ended, minder], [], [])[0]:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        minder.sendall(f"{code}\n".encode())


def become(given: dict[str, Any], descriptors: list[int], program: str) -> None:
    """Be what `python -P -B PROGRAM FOLDER THREADS` is, or `python -m MODULE ...`."""
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(given["cwd"])
    os.environ.clear()
    os.environ.update(given["environment"])
    if "module" in given:
        be_module(given["module"], given["arguments"])
    else:
        be_program(program, Path(given["folder"]), given["threads"])


def be_program(program: str, folder: Path, threads: int) -> None:
    spec = importlib.util.spec_from_file_location("loaded_version_main", program)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.main(folder, threads)


def be_module(name: str, arguments: list[str]) -> None:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # which is read when the library is loaded
    sys.path[:0] = [ROOT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    {"serve": serve, "run": run}[sys.argv[1]](*sys.argv[2:])
