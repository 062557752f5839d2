"""One stack for the session, up before the first test; test_stack.py comes last, kills its services
and takes it down.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.stacks import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    stack = Stack()
    try:
        stack.choose_settings()
        done = stack.make("up")
        assert done.returncode == 0, done.stdout + done.stderr
        yield stack
    finally:
        stack.remove()
