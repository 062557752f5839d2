"""The stack as processes of this machine, on 127.0.0.1: what `make stack` and its companions run.

python -m infra.stack up                        start all in order, until healthy; again: what is missing or stuck
python -m infra.stack down                      end everything, leave nothing behind; data stays
python -m infra.stack run assay curate RECIPE   run a command with the worker's settings (addresses, credentials, home)
python -m infra.stack tool backup               run a service of the compose file's `tools` profile
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from infra import supervisor
from infra.health import healthy
from infra.leftovers import SERVICE, STACK, end_leftovers
from infra.run import environment_of, find_program, prepare_folders
from infra.services import Service, read_service, read_services, stack_folder
from tasks.core.errors import AssayError

UP_SECONDS = 600  # a first start took 246 s on two cores that seven others worked on (2026-11-24)
RETRY_SECONDS = 15  # a service that still ends at once after this long will not come up by itself
STUCK_SECONDS = (
    60  # one that ran before and has not answered for this long will not answer: PostgreSQL after a smart shutdown
)
STOPPED = ("STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN")
LAST_LINES = 12
STOP_ORDER = ("proxy", "worker", "prefect-services", "prefect-server", "mlflow", "s3", "redis", "postgres")


def up() -> None:
    """Start every service when what it waits for is ready, and again one that runs and does not answer.

    Raises AssayError, with its last log lines, for one that does not come up.
    """
    services = {name: service for name, service in read_services().items() if not service.tool}
    _start_in_order(_supervised(services), services)
    _tell(services)


def _supervised(services: Mapping[str, Service]) -> Any:
    """A caller of the supervisor, started if it does not run, after whatever a killed one left behind has ended."""
    caller = supervisor.connect()
    if caller is None:
        end_leftovers({STACK: str(stack_folder())})
        caller = supervisor.start(services.values())
    return caller


def _start_in_order(caller: Any, services: Mapping[str, Service]) -> None:
    begun, ready = time.monotonic(), dict.fromkeys(services, False)
    started: dict[str, float] = {}
    while not all(ready.values()):
        for name, service in services.items():
            if ready[name] or not all(ready[other] for other in service.waits_for):
                continue
            if name not in started:
                supervisor.start_one(caller, name)
                started[name] = time.monotonic()
            elif _stuck(caller, service, time.monotonic() - started[name]):
                print(f"  {name:<20} runs and does not answer: started again", flush=True)
                supervisor.start_again(caller, name)
                started[name] = time.monotonic()
            ready[name] = _ready(caller, service, time.monotonic() - started[name])
            if ready[name]:
                how = "done" if service.once else "healthy"
                print(f"  {name:<20} {how} after {time.monotonic() - begun:.0f} s", flush=True)
        if time.monotonic() > begun + UP_SECONDS:
            waiting = next(name for name in services if name in started and not ready[name])
            raise _failure(waiting, f"was not ready after {UP_SECONDS} s")
        time.sleep(0.3)


def _ready(caller: Any, service: Service, seconds: float) -> bool:
    """Whether what waits for it may start. Raises AssayError for a step that failed, or a service that keeps ending."""
    info = caller.getProcessInfo(service.name)
    state = info["statename"]
    failed = info["exitstatus"] != 0 if service.once and state == "EXITED" else state == "FATAL"
    if failed or (state == "BACKOFF" and seconds > RETRY_SECONDS):
        raise _failure(service.name, f"ended with exit code {info['exitstatus']}")
    return state == "EXITED" if service.once else state in ("RUNNING", "STARTING") and healthy(service)


def _stuck(caller: Any, service: Service, seconds: float) -> bool:
    """Whether it runs, does not answer, and was not started by us `seconds` ago."""
    info = caller.getProcessInfo(service.name)
    return info["statename"] == "RUNNING" and seconds > STUCK_SECONDS and info["now"] - info["start"] > seconds + 5


def _failure(name: str, what: str) -> AssayError:
    log = supervisor.log_of(name)
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
    return AssayError(
        f"{name} {what}. Its last words:\n" + "\n".join(f"    {line}" for line in lines),
        where=str(log),
        todo="mend what the log names, then `make stack` again: it goes on with what is missing; or `make stack-down`",
    )


def _tell(services: Mapping[str, Service]) -> None:
    door = services["proxy"].environment
    print(f"\n  Prefect   {door['PREFECT_PUBLIC']}\n  MLflow    {door['MLFLOW_PUBLIC']}")
    print("  Both ask for the credentials in the settings file. `assay doctor --stack` tells how each service is.")


def down() -> None:
    """End every service in order, then the supervisor, then whatever a killed parent left behind."""
    caller = supervisor.connect()
    if caller is not None:
        for name in STOP_ORDER:
            if caller.getProcessInfo(name)["statename"] not in STOPPED:
                caller.stopProcess(name, True)
        supervisor.shut_down(caller, seconds=120)
    left = end_leftovers({STACK: str(stack_folder())})
    print(f"The stack is down.{f' Ended {left} processes that a killed one had left behind.' if left else ''}")


def run(command: Sequence[str]) -> None:
    """Become `command` with the worker's environment, in the current folder; does not return."""
    worker = read_service("worker")
    prepare_folders(worker)
    environment = {name: value for name, value in environment_of(worker).items() if name not in (STACK, SERVICE)}
    os.execve(find_program(command[0], environment["PATH"]), list(command), environment)


def tool(name: str, extra: Sequence[str]) -> None:
    """Start what the tool waits for, then become it; does not return."""
    services = read_services()
    needed = _with_all_it_waits_for(services, name)
    _start_in_order(_supervised(services), {other: service for other, service in services.items() if other in needed})
    environment = environment_of(services[name])
    command = [*services[name].command, *extra]
    os.execve(find_program(command[0], environment["PATH"]), command, environment)


def _with_all_it_waits_for(services: Mapping[str, Service], name: str) -> set[str]:
    direct = set(services[name].waits_for)
    return direct.union(*(_with_all_it_waits_for(services, other) for other in direct))


def main(arguments: Sequence[str]) -> None:
    what, *rest = arguments or [""]
    if what == "run" and rest:
        run(rest)
    elif what == "tool" and rest:
        tool(rest[0], rest[1:])
    elif what in ("up", "down"):
        {"up": up, "down": down}[what]()
    else:
        given = " ".join(arguments) or "none"
        raise AssayError(f"There is no such command: {given}", allowed="up, down, run COMMAND, tool NAME")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except AssayError as error:
        sys.exit(error.render())
