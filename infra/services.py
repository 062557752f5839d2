"""The stack's services as infra/compose.yaml declares them, with the settings filled in.

The containers and the processes of `make stack` run the same commands with the same settings: both read that one file.
What differs is `places`: the address to bind, the hosts, the folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.settings import CODE, read_settings
from tasks.core.errors import AssayError

COMPOSE = CODE / "infra" / "compose.yaml"
HOST = "127.0.0.1"
DONE, HEALTHY = "service_completed_successfully", "service_healthy"
# Compose's own rules: $$ is a dollar; ${A:-x} is x where A is unset or empty, ${A-x} where it is unset, ${A:?x}
# refuses.
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<other>[^}]*))?\})")


@dataclass(frozen=True)
class Service:
    """One service. command, environment, test: with every variable filled in. waits_for: service -> DONE or HEALTHY.

    once: a step that ends, such as a migration. tool: started by hand only. stop_seconds: how long it may take to end.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    waits_for: Mapping[str, str]
    test: tuple[str, ...]
    folders: tuple[Path, ...]
    once: bool
    tool: bool
    stop_signal: str
    stop_seconds: int


def stack_folder() -> Path:
    """Where the processes of `make stack` keep everything: STACK_FOLDER, else .stack in the checkout."""
    return Path(os.environ.get("STACK_FOLDER") or CODE / ".stack").absolute()


def places() -> dict[str, str]:
    """What differs between containers and processes on this machine: all that `make stack` sets beside the settings
    file.
    """
    hosts = ("POSTGRES_HOST", "REDIS_HOST", "S3_HOST", "PREFECT_HOST", "MLFLOW_HOST")
    return {
        **dict.fromkeys(hosts, HOST),
        "STACK_BIND": HOST,
        "STACK_DATA": str(stack_folder()),
        "STACK_CODE": str(CODE),
        "STACK_SOCKETS": "",
        "STACK_BACKUPS": str(stack_folder() / "backups"),
    }


def read_services(settings: Mapping[str, str] | None = None) -> dict[str, Service]:
    """Every service by name, as this machine runs it. Raises AssayError where a secret is missing."""
    declared = yaml.safe_load(COMPOSE.read_text())["services"]
    values = {**(read_settings() if settings is None else settings), **places()}
    return {name: _service(name, fill(part, values)) for name, part in declared.items()}


def read_service(name: str) -> Service:
    """One service. Raises AssayError for a name that is not one."""
    services = read_services()
    if name not in services:
        raise AssayError(f"There is no service {name!r}.", where=str(COMPOSE), allowed=", ".join(services))
    return services[name]


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """A part of the compose file with its variables filled in. Raises AssayError for `${NAME:?why}` without a value."""
    if isinstance(value, dict):
        return {key: fill(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [fill(part, values) for part in value]
    return VARIABLE.sub(lambda match: _value(match, values), value) if isinstance(value, str) else value


def _value(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    name, how, other = match["name"], match["how"] or "", match["other"] or ""
    found = values.get(name, "")
    if found or (name in values and not how.startswith(":")):
        return found
    if how.endswith("?"):
        raise AssayError(f"{name} is not set.", where=str(COMPOSE), todo=other)
    return other


def _service(name: str, part: Mapping[str, Any]) -> Service:
    data = f"{stack_folder()}/"
    inner = [volume.split(":")[1] for volume in part.get("volumes", [])]
    return Service(
        name=name,
        command=tuple(part["command"]),
        environment={key: str(value) for key, value in part.get("environment", {}).items()},
        waits_for={other: how["condition"] for other, how in part.get("depends_on", {}).items()},
        test=tuple(part.get("healthcheck", {}).get("test", ())),
        folders=tuple(Path(data + folder.removeprefix("/data/")) for folder in inner if folder.startswith("/data/")),
        once=part["restart"] == "no",
        tool=bool(part.get("profiles")),
        stop_signal=part.get("stop_signal", "SIGTERM").removeprefix("SIG"),
        stop_seconds=int(part.get("stop_grace_period", "10s").removesuffix("s")),
    )
