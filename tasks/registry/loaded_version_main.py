"""Answer with the code that a registered version brought along: the process that `LoadedVersion` starts.

    python -P -B tasks/registry/loaded_version_main.py FOLDER THREADS

FOLDER: the version as downloaded. THREADS: of torch, 0 for its own choice. It loads once and says `{}`; then each line
{"questions": [...], "tools": [...]} on standard input is answered by {"answer": [...], "tool_calls": [...]} on standard
output, and whatever goes wrong by {"error": {...}}. It ends when standard input does, which is also when its parent was
killed.

It imports nothing of ours, so that `tasks` is the version's own here, as it is under `mlflow models serve`.
"""

from __future__ import annotations

import gc
import importlib.machinery
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = ("what", "where", "allowed", "todo")  # of our errors
Requests = queue.SimpleQueue[dict[str, Any]]


class OnlyPackaged:
    """An import finder: the packages that a version brought along are found in it and nowhere else.

    A file that it lacks is missing, even where a checkout of ours on the path, or installed for editing, would have
    one.
    """

    def __init__(self, code: Path) -> None:
        self.code, self.names = str(code), {file.stem for file in code.iterdir()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in self.names:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path or [self.code], target)
        if found is None:
            raise ModuleNotFoundError(f"The version was packaged without its module {name!r}.", name=name)
        return found


def main(folder: Path, threads: int) -> None:
    """Load the version, then answer requests until there are no more; does not return."""
    # Most objects are the libraries' and stay: tasks/core/process/hardware.py, collect_rarely.
    gc.set_threshold(100_000)
    requests, replies = _channel()
    reply = _told(_load, folder, threads)
    model = reply.pop("model", None)
    _say(replies, reply)
    while True:
        _say(replies, _told(_answers, model, **requests.get()))


def _channel() -> tuple[Requests, int]:
    """What comes in on standard input, and the descriptor to reply on; both are the parent's alone from now on.

    A library that prints, prints into the log; one that reads finds nothing.
    """
    asked, replies = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    requests = Requests()

    def read() -> None:
        with os.fdopen(asked, encoding="ascii") as lines:
            for line in lines:
                requests.put(json.loads(line))
        os._exit(0)  # in the middle of an answer too: nobody waits for it

    threading.Thread(target=read, daemon=True).start()
    return requests, replies


def _say(replies: int, reply: dict[str, Any]) -> None:
    line = json.dumps(reply).encode("ascii") + b"\n"
    while line:
        line = line[os.write(replies, line) :]


def _told(work: Callable[..., dict[str, Any]], *given: Any, **named: Any) -> dict[str, Any]:
    """What `work` returns, or the error that it raises as the parent can raise it again: its kinds,
    the nearest first.
    """
    try:
        return work(*given, **named)
    except Exception as error:
        traceback.print_exc()
        texts = {key: str(getattr(error, key)) for key in TEXTS if hasattr(error, key)}
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {
            "error": {"kinds": kinds, "text": str(error), "code": str(getattr(error, "error_code", "")), "texts": texts}
        }


def _load(folder: Path, threads: int) -> dict[str, Any]:
    import torch
    from mlflow import pyfunc
    from mlflow.models import Model

    if threads not in (0, torch.get_num_threads()):
        torch.set_num_threads(threads)
    code = Model.load(str(folder)).flavors["python_function"].get("code")
    if code:
        sys.meta_path.insert(0, OnlyPackaged(folder / code))
    return {"model": pyfunc.load_model(str(folder))}


def _answers(model: Any, questions: list[Any], tools: list[Any]) -> dict[str, Any]:
    """All in one request, as they would come over HTTP; `tools` only where some are on offer."""
    import pandas as pd

    offered = {"tools": tools} if any(tools) else {}
    told = model.predict(pd.DataFrame({"messages": questions, **offered}))
    calls = told["tool_calls"] if "tool_calls" in told else [None] * len(questions)
    return {"answer": [str(text) for text in told["answer"]], "tool_calls": list(calls)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
