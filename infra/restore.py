"""Restore a backup into an empty stack whose servers are not started yet; then start it.

    make stack-restore FROM=.stack/backups/2026-11-24T13-00-00Z && make stack
    docker compose ... run --rm restore python -m infra.restore /backups/2026-11-24T13-00-00Z \\
        && docker compose ... up -d

Every file is checked against the manifest first. Nothing is overwritten: a stack that holds runs or a home with
artifacts refuses. MLflow's users and their passwords come from the backup, every other secret from the settings file.
Starting the stack migrates databases of an older version.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path

from infra.backup import ARTIFACTS, HOME, MANIFEST, postgres
from infra.prepare import DATABASES, s3_client
from tasks.core.errors import AssayError
from tasks.core.home import digest_path, home

OTHERS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
USED = {"prefect": "flow_run", "mlflow": "runs"}  # a table of each that servers alone leave empty


def restore(folder: Path) -> dict[str, int]:
    """Restore the backup in `folder`; returns the number of databases, artifacts and files of ASSAY_HOME."""
    listed = check(folder)
    _refuse_used()
    for database, owner in DATABASES.items():
        postgres(
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            f"--role={owner}",
            "--exit-on-error",
            "--single-transaction",
            f"--dbname={database}",
            str(folder / f"{database}.dump"),
        )
    objects = [name for name in listed if name.startswith(f"{ARTIFACTS}/")]
    client, bucket = s3_client(), os.environ["S3_BUCKET"]
    for name in objects:
        client.upload_file(str(folder / name), bucket, name.removeprefix(f"{ARTIFACTS}/"))
    home().mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / HOME) as tar:
        tar.extractall(home(), filter="data")
        files = sum(member.isfile() for member in tar.getmembers())
    return {"databases": len(DATABASES), "artifacts": len(objects), "files": files}


def check(folder: Path) -> dict[str, list[str | int]]:
    """The manifest of a backup whose files are all as it says. Raises AssayError otherwise."""
    if not (folder / MANIFEST).is_file():
        raise AssayError(
            "This is no whole backup: it has no manifest.",
            where=str(folder),
            allowed="a folder that `make stack-backup` made",
        )
    listed: dict[str, list[str | int]] = json.loads((folder / MANIFEST).read_text())
    damaged = [name for name, (digest, _) in listed.items() if not _whole(folder / name, str(digest))]
    if damaged:
        raise AssayError(
            f"{len(damaged)} files of the backup are damaged or missing, the first: {damaged[0]}",
            where=str(folder),
            todo="take another backup",
        )
    return listed


def _whole(file: Path, digest: str) -> bool:
    return file.is_file() and digest_path(file) == digest


def _refuse_used() -> None:
    import psycopg
    from psycopg import sql

    used = []
    for database, table in USED.items():
        with psycopg.connect(dbname=database) as connection:
            if connection.execute(OTHERS).fetchone():
                used.append(f"a server works on the database {database}")
            there = connection.execute("SELECT 1 FROM pg_tables WHERE tablename = %s", [table]).fetchone()
            if (
                there
                and connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
            ):
                used.append(f"the database {database} holds runs")
    if (home() / "artifacts").is_dir() and any((home() / "artifacts").iterdir()):
        used.append(f"{home()} holds artifacts")
    if used:
        raise AssayError(
            f"This stack is in use: {', '.join(used)}.",
            where=f"PGHOST={os.environ.get('PGHOST', '')}",
            todo="restore into an empty stack that is down: another STACK_FOLDER, or new volumes",
        )


if __name__ == "__main__":
    try:
        made = restore(Path(sys.argv[-1]))
        print("restored  " + ", ".join(f"{number:,} {what}" for what, number in made.items()))
        print("next      start the stack")
    except AssayError as error:
        sys.exit(error.render())
