"""What tests of the command share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """The command sets up the whole process it runs in; put that back."""
    variables, handlers = dict(os.environ), list(logging.getLogger().handlers)
    yield
    os.environ.clear()
    os.environ.update(variables)
    logging.getLogger().handlers[:] = handlers
    logging.captureWarnings(False)
