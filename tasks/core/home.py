"""ASSAY_HOME: the one folder where a run keeps what it made, and the digests that name it.

HOME/artifacts/<step>/<digest>/   finished outputs, immutable, named by content
HOME/scratch/<step>/<key>/        unfinished work that survives a kill (training checkpoints)
HOME/results/                     Prefect's persisted handles: the cache
HOME/prefect.db, mlflow.db, mlartifacts/, logs/   the embedded services
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from tasks.core.errors import AssayError

TOLD = "told.json"  # what a step says that no digest may depend on: see StepResult.told in tasks/core/work.py


def home() -> Path:
    """The home folder as an absolute path: $ASSAY_HOME, else .assay below the working directory."""
    return Path(os.environ.get("ASSAY_HOME") or ".assay").absolute()


def home_folder(name: str) -> Path:
    """A folder below the home folder, made if it is not there. Raises AssayError when it cannot be."""
    folder = home() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AssayError(
            f"The home folder cannot be written: {error.strerror}.",
            where=str(folder),
            allowed="a folder this user may write, with free space",
            todo="mend what is there (permissions, space, a file in its place) and run the same command again, which "
            "goes on "
            "from here; or set ASSAY_HOME to another folder",
        ) from error
    return folder


def digest_bytes(data: bytes) -> str:
    """sha256 of `data`, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    """sha256 of a JSON value, independent of key order."""
    return digest_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode())


def digest_path(path: Path) -> str:
    """sha256 of a file's bytes, or of a folder's sorted (relative name, file digest) pairs, TOLD left out."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name != TOLD)
        return digest_json([[p.relative_to(path).as_posix(), digest_path(p)] for p in files])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_artifact(name: str) -> Iterator[Path]:
    """A fresh folder to fill. Call `commit` inside; whatever was not committed is removed.

    name: of this work alone, and the same when it is done again, so that what a killed process left here is cleared.
    """
    place = home_folder("artifacts/.new") / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def commit(place: Path, step: str) -> tuple[Path, str]:
    """Name a filled folder by its content, atomically. Returns (final path, digest); a rename is the only visible act.

    Where the same content is there already it stays, and only what was told of it (TOLD) is of the later run.
    """
    digest = digest_path(place)
    final = home_folder(f"artifacts/{step}") / digest[:16]
    with FileLock(home_folder("artifacts/.new") / f"{step}.lock"):
        if final.exists() and digest_path(final) != digest:  # a damaged copy is replaced, never trusted
            shutil.rmtree(final)
        if not final.exists():
            os.replace(place, final)
        elif (place / TOLD).exists():
            os.replace(place / TOLD, final / TOLD)
    return final, digest
