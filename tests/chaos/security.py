"""Security of the stack while it runs: every door asks for credentials, and no secret stands where
it does not belong.
"""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

from infra.prepare import s3_client
from infra.run import environment_of, find_program
from infra.services import read_services
from infra.settings import SECRETS
from tests.chaos.judge import Outcome
from tests.chaos.play import Played
from tests.chaos.stage import Scene, Stage

DATABASES = ("prefect", "mlflow", "mlflow_auth")
# A user's name, which every S3 request carries in clear, and which SeaweedFS writes to its log.
OPEN = ("S3_ACCESS_KEY",)
DOORS = {  # what a stranger asks each server for, by the variable that holds its port
    "PREFECT_PUBLIC_PORT": "/api/flows/count",
    "PREFECT_PORT": "/api/flows/count",
    "MLFLOW_PUBLIC_PORT": "/",
    "MLFLOW_PORT": "/api/2.0/mlflow/experiments/search?max_results=1",
    "S3_PORT": "/",
    "S3_FILER_PORT": "/",
    "S3_VOLUME_PORT": "/",
}


def refuses_without_credentials(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """Each door answers a stranger with 401 or 403; so does a wrong password."""
    played, values = Played("no credentials"), stage.values()
    for door, path in DOORS.items():
        # MLflow refuses another name before it asks who is there.
        host = "localhost" if "PUBLIC" in door else "127.0.0.1"
        url = f"http://{host}:{values[door]}{path}"
        for who in ("", "c3RyYW5nZXI6Z3Vlc3N3b3Jr"):  # stranger:guesswork
            status = _status(url, who, b"{}" if "PREFECT" in door else None)
            played.figures[f"{door.removesuffix('_PORT').lower()}{' (wrong)' if who else ''}"] = str(status)
            played.wrong += [] if status in (401, 403) else [f"{door} answers a stranger with {status}"]
    played.figures["artifact path with .."] = str(status := _escapes(values))
    played.wrong += [] if status >= 400 else [f"MLflow takes an artifact path that leaves its folder: {status}"]
    return played


def _escapes(values: dict[str, str]) -> int:
    """What MLflow says to its own admin who would write an artifact above the folder of artifacts."""
    credentials = b64encode(f"{values['MLFLOW_ADMIN_USERNAME']}:{values['MLFLOW_ADMIN_PASSWORD']}".encode()).decode()
    url = f"http://127.0.0.1:{values['MLFLOW_PORT']}/api/2.0/mlflow-artifacts/artifacts/1/..%2f..%2f..%2fescaped"
    return _status(url, credentials, b"x", "PUT")


def _status(url: str, credentials: str, data: bytes | None, method: str | None = None) -> int:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Basic {credentials}"} if credentials else {})}
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def tells_no_secret(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """Every secret of the settings, looked for in logs, homes, databases, stored artifacts and command lines."""
    played, values = Played("secrets told"), stage.values()
    secrets = {name: values[name].split(":")[-1].encode() for name in SECRETS if name not in OPEN}
    looked = dict.fromkeys(("logs", "homes", "databases", "artifacts", "command lines"), 0)
    for kind, where, text in _texts(stage):
        looked[kind] += len(text)
        played.wrong += [f"{name} stands in {where}" for name, secret in secrets.items() if secret in text]
    played.figures = {kind: f"{size / 1e6:.2f} MB" for kind, size in looked.items()}
    played.wrong += [f"there was nothing to look at: {kind}" for kind, size in looked.items() if not size]
    return played


def _texts(stage: Stage) -> Iterator[tuple[str, str, bytes]]:
    """(kind, where, bytes) of all that the stack and its runs have written down."""
    for folder, kind in (
        (stage.folder / "logs", "logs"),
        (stage.home, "homes"),
        (stage.folder.parent / "homes", "homes"),
    ):
        for file in (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"):
            yield kind, str(file.relative_to(stage.folder.parent)), file.read_bytes()
    yield "logs", "supervisord.conf", (stage.folder / "supervisord.conf").read_bytes()
    superuser = environment_of(read_services()["backup"])
    for name in DATABASES:
        dump = [find_program("pg_dump", superuser["PATH"]), "--dbname", name]
        yield "databases", name, subprocess.run(dump, env=superuser, capture_output=True, check=True).stdout
    yield from _stored(superuser)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield "command lines", process.parent.name, process.read_bytes()
        except OSError:  # it ended
            continue


def _stored(environment: dict[str, str]) -> Iterator[tuple[str, str, bytes]]:
    os.environ |= {name: value for name, value in environment.items() if name.startswith("AWS_") or "S3" in name}
    client, bucket = s3_client(), environment["S3_BUCKET"]
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            yield "artifacts", found["Key"], client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
