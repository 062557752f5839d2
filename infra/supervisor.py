"""The process supervisor of `make stack`: supervisord, its configuration, and calls to it over a socket in the stack's
folder.

supervisor (PyPI, BSD-like licence, one release a year since 2004) restarts what ends, keeps the logs, and answers by
XML-RPC.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.services import Service, stack_folder
from infra.settings import CODE
from tasks.core.errors import AssayError
from tasks.core.process.child import child_environment

LONGEST_SOCKET = 100  # a Unix socket's path has 107 bytes on Linux
START_SECONDS = 20
CONFIGURATION = """\
[supervisord]
logfile=%(folder)s/logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile=%(folder)s/supervisord.pid
directory=%(code)s
identifier=assay
umask=077

[unix_http_server]
file=%(folder)s/supervisor.sock
chmod=0700

[supervisorctl]
serverurl=unix://%(folder)s/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:%(name)s]
command=%(python)s -m infra.run %(name)s
directory=%(code)s
autostart=false
autorestart=%(restart)s
startsecs=%(steady)d
startretries=1000
exitcodes=0
stopsignal=%(signal)s
stopwaitsecs=%(seconds)d
killasgroup=true
stdout_logfile=%(log)s
redirect_stderr=true
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


def log_of(name: str) -> Path:
    return stack_folder() / "logs" / f"{name}.log"


def configuration(services: Iterable[Service]) -> str:
    """supervisord.conf. It holds no setting and no secret: infra/run.py reads those when a service starts."""
    place = {"folder": _quoted(stack_folder()), "code": _quoted(CODE)}
    programs = [
        PROGRAM
        % {
            "name": service.name,
            "log": _quoted(log_of(service.name)),
            **place,
            "python": _quoted(sys.executable),
            "restart": "false" if service.once else "true",
            "steady": 0 if service.once else 2,
            "signal": service.stop_signal,
            "seconds": service.stop_seconds,
        }
        for service in services
        if not service.tool
    ]
    return CONFIGURATION % place + "".join(programs)


def _quoted(value: object) -> str:
    return str(value).replace("%", "%%")


def start(services: Iterable[Service]) -> Any:
    """Start supervisord with every service known and none running; returns its caller."""
    folder = stack_folder()
    if len(str(folder / "supervisor.sock").encode()) > LONGEST_SOCKET:
        raise AssayError(
            "The stack's folder has too long a path for a Unix socket.",
            where=str(folder),
            todo="set STACK_FOLDER to a shorter one",
        )
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    file = folder / "supervisord.conf"
    file.write_text(configuration(services))
    subprocess.run([sys.executable, "-m", "supervisor.supervisord", "-c", file], check=True, env=child_environment())
    deadline = time.monotonic() + START_SECONDS
    while (found := connect()) is None:
        if time.monotonic() > deadline:
            raise AssayError("The supervisor did not start.", where=str(folder / "logs/supervisord.log"))
        time.sleep(0.1)
    return found


def connect() -> Any | None:
    """A caller of the running supervisor's methods; None when none runs."""
    socket = stack_folder() / "supervisor.sock"
    if not socket.exists():
        return None
    from supervisor.xmlrpc import SupervisorTransport

    server = xmlrpc.client.ServerProxy(
        "http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{socket}")
    )
    with contextlib.suppress(OSError, xmlrpc.client.Error):
        server.supervisor.getState()
        return server.supervisor
    return None


def start_one(supervisor: Any, name: str) -> None:
    """Start a service now, unless it runs; one that waits before its next try waits no longer."""
    with contextlib.suppress(xmlrpc.client.Fault):  # NOT_RUNNING, ALREADY_STARTED
        if supervisor.getProcessInfo(name)["statename"] == "BACKOFF":
            supervisor.stopProcess(name, True)
        supervisor.startProcess(name, False)


def start_again(supervisor: Any, name: str) -> None:
    """End a service by its signal, by SIGKILL if that does not end it, and start it."""
    supervisor.stopProcess(name, True)
    supervisor.startProcess(name, False)


def shut_down(supervisor: Any, seconds: float) -> None:
    """End supervisord and wait until it is gone. Raises AssayError when it is not in `seconds`."""
    pid = int(supervisor.getPID())
    supervisor.shutdown()
    deadline = time.monotonic() + seconds
    while _lives(pid):
        if time.monotonic() > deadline:
            raise AssayError(
                f"The supervisor (process {pid}) did not end in {seconds:.0f} s.",
                where=str(stack_folder() / "logs/supervisord.log"),
            )
        time.sleep(0.2)


def _lives(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
