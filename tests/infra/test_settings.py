"""infra/settings.py: what the stack needs before it starts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra import settings
from infra.settings import SECRETS, read_settings, write_settings
from tasks.core.errors import AssayError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STACK_ENV", str(tmp_path / "stack.env"))
    return tmp_path / "stack.env"


def test_no_secret_has_a_default(file: Path) -> None:
    file.write_text(settings.EXAMPLE.read_text())
    with pytest.raises(AssayError) as refused:
        read_settings()
    assert all(f"{name} is not set" in str(refused.value) for name in SECRETS)
    assert "make stack-settings" in str(refused.value)


def test_chooses_secrets_that_do_and_that_nobody_else_may_read(file: Path) -> None:
    assert write_settings() == list(SECRETS)
    found = read_settings()
    assert len({found[name] for name in SECRETS}) == len(SECRETS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keeps_what_a_person_set(file: Path) -> None:
    file.write_text("MLFLOW_ADMIN_PASSWORD=correct-horse-battery\nMLFLOW_PORT=5001\n")
    assert "MLFLOW_ADMIN_PASSWORD" not in write_settings()
    found = read_settings()
    assert (found["MLFLOW_ADMIN_PASSWORD"], found["MLFLOW_PORT"]) == ("correct-horse-battery", "5001")
    assert write_settings() == []


def test_the_shell_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings()
    monkeypatch.setenv("REDIS_PASSWORD", "of-the-shell-alone")
    assert read_settings()["REDIS_PASSWORD"] == "of-the-shell-alone"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("REDIS_PASSWORD", "3xA.mple", "is shorter than 12 characters"),
        ("REDIS_PASSWORD", "with@a-sign-in-it", "holds a character that is not allowed"),
        ("PREFECT_AUTH", "no-colon-in-here", "has no `user:` before its password"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_not_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    write_settings()
    monkeypatch.setenv(name, value)
    with pytest.raises(AssayError) as refused:
        read_settings()
    assert f"{name} {told}" in str(refused.value)
    assert value not in str(refused.value)
