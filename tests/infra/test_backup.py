"""infra/backup.py and infra/restore.py, the parts that need no server; tests/stack restores a whole one."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from infra.backup import MANIFEST, pack_home
from infra.restore import check
from tasks.core.errors import AssayError
from tasks.core.home import digest_bytes


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    (tmp_path / "prefect.dump").write_bytes(b"rows")
    (tmp_path / MANIFEST).write_text(json.dumps({"prefect.dump": [digest_bytes(b"rows"), 4]}))
    return tmp_path


def test_a_whole_backup_is_taken(backup: Path) -> None:
    assert list(check(backup)) == ["prefect.dump"]


def test_a_damaged_file_is_named_before_anything_is_written(backup: Path) -> None:
    (backup / "prefect.dump").write_bytes(b"r0ws")
    with pytest.raises(AssayError, match=r"prefect\.dump"):
        check(backup)


def test_a_backup_that_was_broken_off_is_none(backup: Path) -> None:
    (backup / MANIFEST).unlink()
    with pytest.raises(AssayError, match="no whole backup"):
        check(backup)


def test_the_home_is_packed_without_work_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, kept = tmp_path / "home", {"artifacts/split/ab12/rows.parquet", "runs.jsonl"}
    for name in (*kept, "artifacts/.new/half/rows.parquet", "services/prefect.json", "runs.lock"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    monkeypatch.setenv("ASSAY_HOME", str(home))
    pack_home(tmp_path / "home.tar")
    with tarfile.open(tmp_path / "home.tar") as tar:
        names = {member.name for member in tar.getmembers() if member.isfile()}
    assert names == {f"./{name}" for name in kept}
