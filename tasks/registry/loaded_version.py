"""A registered version, loaded in a process of its own, where it answers with the code that it was packaged with.

    with LoadedVersion(download(version, folder)) as loaded:
        said = loaded.answers(questions, tools)

In this process `tasks` is our own code, and a version's would never run: what was proved would be the checkout, and not
what `mlflow models serve` serves. The process is the same interpreter, with the same environment and as many threads.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tasks.core import errors
from tasks.core.errors import AssayError, OutsideError
from tasks.metrics.reference import ModelAnswer
from tasks.model.chat_template import Message
from tasks.registry import loaded_version_main

TAIL = 12  # log lines shown when it fails
STOP_SECONDS = 10
OURS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AssayError)}


class VersionError(AssayError):
    """The process of a loaded version ended before it answered, or its code failed in a way that is no refusal."""


class LoadedVersion:
    """A downloaded version, loaded and asked in a process of its own that lives as long as the `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> LoadedVersion:
        """Start the process and load the version. Raises what its code raises: RegistrationError for another base model
        than it was evaluated on, OutsideError while that cannot be fetched; VersionError for whatever is not an error
        of ours.
        """
        self._log = tempfile.TemporaryFile()  # its own standard error, wanted only when it fails
        self._process = start(self.folder, _threads(), self._log)
        try:
            self._receive()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def answers(self, questions: Sequence[list[Message]], tools: Sequence[list[Any] | None]) -> list[ModelAnswer]:
        """Its answers to conversations, each with the tools on offer, all in one request.

        Raises MlflowException or an error of ours where it refuses one of them, VersionError where it failed.
        """
        try:
            self._asked.write(json.dumps({"questions": list(questions), "tools": list(tools)}) + "\n")
            self._asked.flush()
        except BrokenPipeError:
            raise self._ended() from None
        told = self._receive()
        return [
            ModelAnswer(text, json.dumps(calls, ensure_ascii=False) if calls else None)
            for text, calls in zip(told["answer"], told["tool_calls"], strict=True)
        ]

    def answers_or_reasons(
        self, questions: Sequence[tuple[list[Message], Any]]
    ) -> list[tuple[ModelAnswer | None, str | None]]:
        """As `answers`, (answer, why there is none) of each question with its tools; where it refuses all at once, half
        by half, until the one question is found that it cannot answer.
        """
        from mlflow.exceptions import MlflowException

        if not questions:
            return []
        try:
            asked, tools = zip(*questions, strict=True)
            return [(said, None) for said in self.answers(asked, tools)]
        except (VersionError, OutsideError):  # no word on any question
            raise
        except (AssayError, MlflowException) as error:
            if len(questions) == 1:
                return [(None, getattr(error, "what", str(error)).removeprefix("Row 0: ").splitlines()[0])]
        half = len(questions) // 2
        return self.answers_or_reasons(questions[:half]) + self.answers_or_reasons(questions[half:])

    @property
    def _asked(self) -> IO[str]:
        assert self._process.stdin
        return self._process.stdin

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._ended()
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise self._error(**told["error"])
        return told

    def _error(self, kinds: list[str], text: str, code: str, texts: dict[str, str]) -> Exception:
        """The error of its code as one of ours of the nearest kind that we know, or as MLflow's."""
        ours = next((OURS[name] for name in kinds if name in OURS), None)
        if ours:
            return ours(**{"what": text, **texts})
        if "MlflowException" in kinds:
            from mlflow.exceptions import MlflowException
            from mlflow.protos.databricks_pb2 import ErrorCode

            refusal: Exception = MlflowException(text, ErrorCode.Value(code))
            return refusal
        return self._failure(f"failed with {kinds[0]}: {(text.splitlines() or ['it gave no reason'])[0]}")

    def _ended(self) -> VersionError:
        code = self._process.wait(STOP_SECONDS)
        killed = f"was ended by {signal.Signals(-code).name} (SIGKILL often means: out of memory)" if code < 0 else ""
        return self._failure(killed or f"ended with exit code {code}")

    def _failure(self, what: str) -> VersionError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-TAIL:]
        told = "".join(f"\n    {line}" for line in lines)
        return VersionError(
            f"The process that asks the registered version {what}." + (f" Its last words:{told}" if told else ""),
            where=str(self.folder),
            todo="mend what it names, or free memory, and run the same command again",
        )

    def _end(self) -> None:
        """It ends by itself when its standard input does."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                assert stream
                stream.close()
            except BrokenPipeError:  # a request that it never read
                continue
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def start(folder: Path, threads: int, log: IO[bytes]) -> subprocess.Popen[str]:
    """Start the process: -P keeps our own code off its path, and -B keeps the folder as it was registered."""
    return subprocess.Popen(
        [sys.executable, "-P", "-B", loaded_version_main.__file__, str(folder), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="ascii",
        start_new_session=True,  # Ctrl-C is for the run, which ends this
    )


def _threads() -> int:
    """Torch's threads here, where evaluation ran: another number sums in another order. 0 where
    torch was not loaded.
    """
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else 0
