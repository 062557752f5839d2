"""Back up a stack: its databases, its artifacts, ASSAY_HOME. Servers and runs may go on meanwhile.

    make stack-backup                                      into .stack/backups
    docker compose ... run --rm backup                     into the folder that BACKUPS names

A backup is a folder named by its time, with FILES in it:
    prefect.dump mlflow.dump mlflow_auth.dump   pg_dump's custom format, each one consistent snapshot
    artifacts/                                  the bucket's objects, by key
    home.tar                                    ASSAY_HOME
    manifest.json                               written last: sha256 and bytes of every file; without it a folder
                                                is no backup

Databases go first: what a snapshot names was stored before it, so the artifacts copied afterwards hold at least that.
Of ASSAY_HOME stay out what is being made (artifacts/.new) and locks; a run that was under way starts that step again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from infra.prepare import DATABASES, s3_client
from tasks.core.errors import AssayError
from tasks.core.home import digest_path, home

ARTIFACTS, HOME, MANIFEST = "artifacts", "home.tar", "manifest.json"
LEFT_OUT = (".new", "services", "logs")  # folders of ASSAY_HOME: work under way, locks of embedded servers, words


def back_up(place: Path) -> Path:
    """Make a backup below `place`; returns its folder. Raises AssayError where a part cannot be read."""
    name = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    folder = place / f".{name}.new"
    folder.mkdir(parents=True, mode=0o700)
    for database in DATABASES:
        postgres("pg_dump", "--format=custom", "--no-owner", f"--file={folder / database}.dump", f"--dbname={database}")
    copy_objects(folder / ARTIFACTS)
    pack_home(folder / HOME)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {path.relative_to(folder).as_posix(): [digest_path(path), path.stat().st_size] for path in files}
    (folder / MANIFEST).write_text(json.dumps(listed, indent=1))
    return folder.rename(place / name)


def postgres(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; PGHOST and its fellows say where. Raises AssayError with what it said."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise AssayError(
            f"{program} failed: {done.stderr.strip()[-500:]}",
            where=f"PGHOST={os.environ.get('PGHOST', '')}",
            todo="is the stack up? `assay doctor --stack` tells",
        )


def copy_objects(folder: Path) -> None:
    """Write each object of the bucket to `folder`/key."""
    client, bucket = s3_client(), os.environ["S3_BUCKET"]
    folder.mkdir()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            file = folder / found["Key"]
            if not file.resolve().is_relative_to(folder.resolve()):
                raise AssayError(
                    f"The artifact store holds a name that leaves its folder: {found['Key']!r}.", where=bucket
                )
            if not found["Key"].endswith("/"):
                file.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, found["Key"], str(file))


def pack_home(file: Path) -> None:
    """Write ASSAY_HOME, where there is one, as a tar."""
    with tarfile.open(file, "w") as tar:
        if home().is_dir():
            tar.add(home(), arcname=".", filter=_wanted)


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(member.name).parts
    return None if set(parts) & set(LEFT_OUT) or member.name.endswith(".lock") else member


if __name__ == "__main__":
    try:
        print(f"backup    {back_up(Path(sys.argv[1]))}")
    except AssayError as error:
        sys.exit(error.render())
