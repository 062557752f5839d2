"""How each service of the stack is: what `assay doctor --stack` prints. No setting's value appears in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from infra import supervisor
from infra.health import healthy
from infra.services import Service, read_services, stack_folder
from tasks.core.errors import AssayError

RUNS = ("RUNNING", "STARTING")


@dataclass(frozen=True)
class Status:
    """One service. well: it runs and passes its own check, or is a step that ended well. told: since when, or what is
    wrong.
    """

    name: str
    well: bool
    told: str
    log: str
    todo: str = ""


def examine_stack() -> list[Status]:
    """Each service in the compose file's order. Raises AssayError where no stack runs."""
    caller = supervisor.connect()
    if caller is None:
        raise AssayError(
            "No stack runs here.",
            where=str(stack_folder()),
            todo="`make stack` starts one; STACK_FOLDER names another. Containers: docker compose ps",
        )
    services = [service for service in read_services().values() if not service.tool]
    return [_status(caller.getProcessInfo(service.name), service) for service in services]


def _status(info: dict[str, Any], service: Service) -> Status:
    state, log = info["statename"], str(supervisor.log_of(service.name))
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info["start"]))
    if service.once:
        if state == "EXITED" and info["exitstatus"] == 0:
            return Status(service.name, True, f"done at {since}", log)
        told = f"{state.lower()}, exit code {info['exitstatus']}"
        return Status(service.name, False, told, log, "read its log, then `make stack`")
    if state in RUNS and healthy(service):
        return Status(service.name, True, f"healthy, process {info['pid']} since {since}", log)
    if state in RUNS:
        todo = (
            "wait a little if it has just started; else read its log, since what it waits for may be down, then "
            "`make stack`"
        )
        return Status(service.name, False, f"runs since {since} and does not answer", log, todo)
    told = (
        "is being started again and again" if state == "BACKOFF" else f"{state.lower()}, exit code {info['exitstatus']}"
    )
    return Status(service.name, False, told, log, "read its log, mend what it names, then `make stack`")
