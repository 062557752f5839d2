"""The whole stack as processes: `make stack-check`. Real servers, minutes; no part of `make test`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import psutil
import pytest
from dotenv import set_key

from infra.run import find_program, search_path
from infra.services import read_services
from tests.stack.stacks import Stack
from tests.support.little_recipe import little_recipe

# What a service does: ask for the model by its alias, and fetch its files. Prints their names.
SERVED = """
import mlflow, pathlib
found = mlflow.MlflowClient().get_model_version_by_alias("little", "challenger")
folder = pathlib.Path(mlflow.artifacts.download_artifacts(f"models:/little/{found.version}"))
print(*(path.name for path in folder.rglob("*")))
"""
pytestmark = pytest.mark.timeout(1800)  # starts and stops of whole stacks
KILLED = ("postgres", "redis", "s3", "prefect-server", "prefect-services", "mlflow", "worker", "proxy")


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return little_recipe(tmp_path_factory.mktemp("recipe") / "little")


def status(url: str, credentials: str = "", data: bytes | None = None) -> int:
    """The HTTP status of a request to a server of the stack."""
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    if credentials:
        request.add_header("Authorization", "Basic " + b64encode(credentials.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_refuses_to_start_without_secrets_and_says_how() -> None:
    bare = Stack()
    try:
        done = bare.make("up")
        assert done.returncode == 1
        assert "MLFLOW_ADMIN_PASSWORD is not set" in done.stderr
        assert "make stack-settings" in done.stderr
        assert not (bare.folder / "supervisord.pid").exists()
    finally:
        bare.remove()


def test_came_up_with_one_command_which_again_changes_nothing(stack: Stack) -> None:
    before = {name: process_of(stack, name) for name in KILLED}
    assert stack.make("up").returncode == 0
    assert {name: process_of(stack, name) for name in KILLED} == before
    doctor = stack.call("assay", "doctor", "--stack")
    assert doctor.returncode == 0, doctor.stdout
    assert "Everything is up." in doctor.stdout


def test_asks_for_credentials_at_every_door(stack: Stack) -> None:
    values = stack.values()
    prefect, mlflow = (f"http://localhost:{values[f'{name}_PUBLIC_PORT']}" for name in ("PREFECT", "MLFLOW"))
    runs, search = f"{prefect}/api/flow_runs/filter", f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert status(runs, data=b"{}") == 401
    assert status(runs, "assay:wrong", b"{}") == 401
    assert status(runs, values["PREFECT_AUTH"], b"{}") == 200
    assert status(search) == status(mlflow) == 401
    assert status(search, "admin:wrong") == 401
    assert status(search, f"admin:{values['MLFLOW_ADMIN_PASSWORD']}") == 200
    inner = {
        "PREFECT": "/api/deployments/count",
        "MLFLOW": "/",
        "S3": "/assay",
        "S3_FILER": "/buckets/",
        "S3_VOLUME": "/",
    }
    for name, path in inner.items():
        assert status(f"http://127.0.0.1:{values[f'{name}_PORT']}{path}") in (401, 403), name


def test_a_flow_runs_against_it_and_keeps_its_artifacts_in_the_store(stack: Stack, little: Path) -> None:
    done = stack.make("run", "assay", "run", str(little))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 1" in done.stdout


def test_tells_no_secret_in_logs_or_command_lines(stack: Stack) -> None:
    values = stack.values()
    secrets = [values[name].split(":")[-1] for name in values if name.endswith(("_PASSWORD", "_AUTH", "_SECRET_KEY"))]
    logs = "".join(file.read_text(errors="replace") for file in (stack.folder / "logs").iterdir())
    lines = " ".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    written = (stack.folder / "supervisord.conf").read_text()
    assert len(secrets) == 8
    assert not [secret for secret in secrets if secret in logs or secret in lines or secret in written]


@pytest.mark.parametrize("name", KILLED)
def test_starts_a_killed_service_again(stack: Stack, name: str) -> None:
    before, family = process_of(stack, name), marked(stack, name)
    assert before > 1
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 180
    while process_of(stack, name) == before or family & marked(stack, name):  # MLflow's workers outlive it, and answer
        assert time.monotonic() < deadline, family
        time.sleep(1)
    while stack.call("assay", "doctor", "--stack").returncode:
        assert time.monotonic() < deadline, stack.call("assay", "doctor", "--stack").stdout
        time.sleep(2)


def test_a_killed_supervisor_takes_its_services_along_and_a_second_start_heals(stack: Stack) -> None:
    os.kill(int((stack.folder / "supervisord.pid").read_text()), signal.SIGKILL)
    deadline = time.monotonic() + 120
    while left := marked(stack):
        assert time.monotonic() < deadline, left
        time.sleep(1)
    assert stack.call("assay", "doctor", "--stack").returncode == 1
    assert stack.make("up").returncode == 0


def process_of(stack: Stack, name: str) -> int:
    """The process of a service; 0 while it has none."""
    return int(stack.call("supervisorctl", "-c", str(stack.folder / "supervisord.conf"), "pid", name).stdout)


def marked(stack: Stack, name: str = "") -> set[psutil.Process]:
    """The live processes of a stack, or of one of its services."""
    return {one for one in psutil.process_iter() if _marks(one) == (str(stack.folder), name or _marks(one)[1])}


def _marks(process: psutil.Process) -> tuple[str, str]:
    try:
        environment = process.environ()
    except psutil.Error:
        return ("", "")
    return environment.get("ASSAY_STACK", ""), environment.get("ASSAY_STACK_SERVICE", "")


def test_a_backup_restored_into_an_empty_stack_is_the_same(stack: Stack) -> None:
    assert stack.make("tool", "backup").returncode == 0
    first = newest_backup(stack)
    again = stack.make("tool", "restore", str(first))
    assert again.returncode == 1
    assert "in use" in again.stderr
    assert stack.make("down").returncode == 0
    empty = Stack()
    empty.choose_settings()
    set_key(empty.settings, "MLFLOW_ADMIN_PASSWORD", stack.values()["MLFLOW_ADMIN_PASSWORD"], quote_mode="never")
    try:
        restored = empty.make("tool", "restore", str(first))
        assert restored.returncode == 0, restored.stdout + restored.stderr
        assert empty.make("tool", "backup").returncode == 0
        assert contents(newest_backup(empty)) == contents(first)
        started = empty.make("up")
        assert started.returncode == 0, started.stdout + started.stderr
        served = empty.make("run", "python", "-c", SERVED)
        assert "adapter_model.safetensors" in served.stdout, served.stdout + served.stderr
    finally:
        empty.remove()


def newest_backup(stack: Stack) -> Path:
    return max(path for path in (stack.folder / "backups").iterdir() if not path.name.startswith("."))


def contents(backup: Path) -> dict[str, object]:
    """Artifacts by digest, and each database as the SQL of its rows."""
    manifest = json.loads((backup / "manifest.json").read_text())
    found: dict[str, object] = {name: digest for name, (digest, _) in manifest.items() if name.startswith("artifacts/")}
    for dump in backup.glob("*.dump"):
        command = [find_program("pg_restore", search_path()), "--data-only", "--file=-", str(dump)]
        sql = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[dump.name] = sorted(
            line for line in sql.splitlines() if "restrict" not in line and not line.startswith("--")
        )
    with tarfile.open(backup / "home.tar") as tar:
        found["home"] = {member.name: member.size for member in tar.getmembers() if member.isfile()}
    return found


def test_leaves_no_process_behind(stack: Stack) -> None:
    assert stack.make("down").returncode == 0
    assert not marked(stack)
    assert not [one for one in psutil.process_iter() if str(stack.folder) in traces(one)]
    ports = {int(value) for name, value in stack.values().items() if name.endswith("_PORT")}
    ports |= {port + 10_000 for port in ports}  # SeaweedFS takes both
    assert not ports & {one.laddr.port for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN}


def traces(process: psutil.Process) -> str:
    """Where a process works and what it was told, for one that has lost its marks."""
    try:
        return " ".join((process.cwd(), *process.cmdline(), *(file.path for file in process.open_files())))
    except psutil.Error:
        return ""


def test_the_compose_file_has_no_service_that_was_not_run() -> None:
    services = read_services(dict.fromkeys(("PREFECT_AUTH",), "a:b") | SECRETS)
    assert {name for name, service in services.items() if not service.once} == set(KILLED)


SECRETS = dict.fromkeys(
    (
        "MLFLOW_ADMIN_PASSWORD",
        "MLFLOW_SECRET_KEY",
        "POSTGRES_PASSWORD",
        "PREFECT_DB_PASSWORD",
        "MLFLOW_DB_PASSWORD",
        "REDIS_PASSWORD",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
    ),
    "x" * 12,
)
