from __future__ import annotations

import ast
import gc
import sys
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tasks.core import code_digest

SOURCES = [file.read_bytes() for file in Path(code_digest.__file__).parent.glob("*.py")]


@pytest.fixture
def beside_threads() -> Iterator[list[int]]:
    """Two threads that parse all the time, and collections that let them in; yields how often each of their parses
    failed.
    """
    failed: list[int] = []
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            for source in SOURCES:
                try:
                    ast.parse(source)
                except SystemError:
                    failed.append(1)

    def let_others_in(*_: object) -> None:
        time.sleep(0.0001)

    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(let_others_in)
    gc.set_threshold(50)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield failed
    done.set()
    for thread in threads:
        thread.join()
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(let_others_in)
    sys.setswitchinterval(interval)


def test_code_is_read_while_other_threads_parse(beside_threads: list[int]) -> None:
    deadline = time.monotonic() + 5
    for source in cycle(SOURCES):
        assert code_digest.parse(source).body
        if time.monotonic() > deadline or len(beside_threads) > 2:
            break
    if not beside_threads:
        pytest.skip("no parse of another thread met one of ours, on this Python")
