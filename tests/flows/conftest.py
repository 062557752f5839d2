"""What tests of the command share."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tests.support import forked_command
from tests.support.command import Work
from tests.support.little_recipe import little_recipe
from tests.support.preloaded import Preloaded


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """The command sets up the whole process it runs in; put that back."""
    variables, handlers = dict(os.environ), list(logging.getLogger().handlers)
    yield
    os.environ.clear()
    os.environ.update(variables)
    logging.getLogger().handlers[:] = handlers
    logging.captureWarnings(False)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path, forks: Preloaded) -> Iterator[Work]:
    """A folder for recipes and a home, for the runs of one test module, by forked commands; what a start without a
    database does is in test_main.
    """
    work = Work(tmp_path_factory.mktemp("work"), forks.command(forked_command.__name__, forks.address))
    work.home.mkdir()
    shutil.copyfile(prefect_database, work.home / "prefect.db")
    yield work
    work.end()


@pytest.fixture(scope="module")
def server(work: Work) -> Iterator[TextIO]:
    """One Prefect server for all commands of a module: each start is four seconds of a core. Closed, it is let go."""
    with work.hold_server() as users:
        yield users


@pytest.fixture(scope="module")
def little(work: Work) -> Path:
    return little_recipe(work.folder / "little")
