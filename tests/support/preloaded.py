"""Processes of loaded versions in tests: forked from one that has imported the libraries, and computed nothing.

    python -P -B tests/support/preloaded.py SOCKET PROGRAM    (started by `Preloaded`, ends with its standard input)

To import torch, transformers, peft and MLflow takes seconds of a core, and the suite loads dozens of versions. What
runs in the fork is the program itself, tasks/registry/loaded_version_main.py; test_loaded_version.py starts that one as
users do. This file imports nothing of ours either.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
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
)


class Preloaded:
    """Starts such processes in place of tasks.registry.loaded_version.start; the one they come of is started with the
    first.
    """

    def __init__(self, folder: Path, program: str) -> None:
        self.address, self.program = str(folder / "s"), program
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path, threads: int, log: IO[bytes]) -> Any:
        if self.process is None:
            command = [sys.executable, "-P", "-B", __file__, self.address, self.program]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self.process.stdout
            assert self.process.stdout.readline() == b"ready\n"
        minder = socket.socket(socket.AF_UNIX)
        minder.connect(self.address)
        (asked, ask), (told, tell) = os.pipe(), os.pipe()
        given = {"folder": str(folder), "threads": threads, "cwd": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(minder, [json.dumps(given).encode() + b"\n"], [asked, tell, log.fileno()])
        os.close(asked)
        os.close(tell)
        return Forked(minder, ask, told)

    def end(self) -> None:
        if self.process is not None:
            self.process.communicate(timeout=20)


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


def main(address: str, program: str) -> None:
    """Fork a minder for each that connects, until standard input ends."""
    for library in LIBRARIES:
        importlib.import_module(library)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        minder, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            mind(minder, program)
            os._exit(0)
        minder.close()
    os._exit(0)  # without a last look through all objects of the libraries


def mind(minder: socket.socket, program: str) -> None:
    """Fork the process, tell its number, wait for it and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words, descriptors, _, _ = socket.recv_fds(minder, 1 << 16, 3)
    while not words.endswith(b"\n"):
        words += minder.recv(1 << 16)
    child = os.fork()
    if child == 0:
        minder.close()
        try:
            become(json.loads(words), descriptors, program)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):
        minder.sendall(f"{child}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        minder.sendall(f"{code}\n".encode())


def become(given: dict[str, Any], descriptors: list[int], program: str) -> None:
    """Be what `python -P -B PROGRAM FOLDER THREADS` is; does not return."""
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(given["cwd"])
    os.environ.clear()
    os.environ.update(given["environment"])
    spec = importlib.util.spec_from_file_location("loaded_version_main", program)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.main(Path(given["folder"]), given["threads"])


if __name__ == "__main__":
    main(*sys.argv[1:])
