"""The embedded server: shared while anyone uses it, gone when nobody does, however they went."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flows.servers import embedded

USER = """
import sys
from flows.servers import embedded, environment
from tasks.core.errors import AssayError
environment.prepare()
server = embedded.join(embedded.PREFECT)
try:
    server.wait()
except AssayError as error:
    sys.exit(error.render())
print(server.port, flush=True)
sys.stdin.read()
"""
User = subprocess.Popen[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Path:
    """One home for all tests here, with a database: making it is the slow part of a first start."""
    place = tmp_path_factory.mktemp("services")
    shutil.copyfile(prefect_database, place / "prefect.db")
    return place


@pytest.fixture
def user(place: Path) -> Iterator[Callable[[], User]]:
    """Start a process that uses the server until its input is closed; none is left behind."""
    started: list[User] = []

    def start() -> User:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | {"ASSAY_HOME": str(place)}
        pipe, command = subprocess.PIPE, [sys.executable, "-c", USER]
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    eventually(lambda: not keepers(place))


def port_of(user: User) -> int:
    assert user.stdout is not None
    return int(user.stdout.readline())


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((embedded.HOST, port)) == 0


def keepers(place: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        line, environment = process.info["cmdline"] or [], process.info["environ"] or {}
        if "flows.servers.embedded" in line and environment.get("ASSAY_HOME") == str(place):
            found.append(process)
    return found


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.1)


def test_two_that_start_at_once_share_one_server_until_the_last_has_left(user: Callable[[], User], place: Path) -> None:
    first, second = user(), user()
    port = port_of(first)
    assert port_of(second) == port
    assert len(keepers(place)) == 1
    first.communicate("")  # closes its input: it ends
    time.sleep(1)
    assert answers(port), "the server went away under someone who uses it"
    second.communicate("")
    eventually(lambda: not answers(port) and not keepers(place))


def test_neither_a_killed_user_nor_a_killed_keeper_leaves_a_server_behind_and_the_next_user_gets_the_same_address(
    user: Callable[[], User], place: Path
) -> None:
    killed = user()
    port = port_of(killed)
    killed.kill()
    assert port_of(user()) == port  # waits for the old server to end, then starts anew
    (keeper,) = keepers(place)
    if sys.platform == "linux":  # only Linux tells a child that its parent died
        keeper.send_signal(signal.SIGKILL)
        eventually(lambda: not answers(port))


def test_a_server_that_cannot_start_is_told_with_its_last_words(
    tmp_path: Path, user: Callable[[], User], place: Path
) -> None:
    database = place / "prefect.db"
    database.rename(place / "aside.db")
    database.mkdir()
    try:
        _, told = user().communicate("", timeout=60)
    finally:
        database.rmdir()
    assert "The Prefect server ended while it started" in told
    assert "unable to open database file" in told
    assert str(place / "logs" / "prefect.log") in told


def test_a_port_that_someone_took_is_not_used_again(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind((embedded.HOST, 0))
        taken.listen()
        last = taken.getsockname()[1]
        assert embedded._free_port(last) != last
    assert embedded._free_port(last) == last


def test_a_record_of_a_dead_keeper_is_not_believed(home: Path) -> None:
    record = home / "services" / "prefect.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"port": 1}))
    assert not embedded.Server(embedded.PREFECT, 1, -1, started=False).alive()
