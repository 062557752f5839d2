"""The stack's settings: infra/stack.env, or the file that STACK_ENV names, with the shell's variables over it.

python -m infra.settings     writes the file, with a random value for every secret that is empty
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

from dotenv import dotenv_values, set_key

from tasks.core.errors import AssayError

CODE = Path(__file__).resolve().parent.parent  # the checkout
EXAMPLE = CODE / "infra" / "stack.env.example"
SECRETS = (
    "PREFECT_AUTH",
    "MLFLOW_ADMIN_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "POSTGRES_PASSWORD",
    "PREFECT_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "REDIS_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
)
SAFE = re.compile(r"[A-Za-z0-9._~-]+")
SHORTEST = 12  # MLflow's own rule for passwords


def settings_file() -> Path:
    return Path(os.environ.get("STACK_ENV") or CODE / "infra" / "stack.env").absolute()


def read_settings() -> dict[str, str]:
    """Every setting of the example by name. Raises AssayError where a secret is not set or cannot be used."""
    file = settings_file()
    found = {name: value or "" for name, value in dotenv_values(file, interpolate=False).items()}
    names = {*dotenv_values(EXAMPLE), *found}
    settings = {**found, **{name: os.environ[name] for name in names if name in os.environ}}
    wrong = [f"{name} {problem}" for name in SECRETS if (problem := _problem(name, settings.get(name, "")))]
    if wrong:
        raise AssayError(
            "The stack does not start without its secrets: " + "; ".join(wrong) + ".",
            where=str(file),
            allowed=f"letters, digits and . _ ~ -, at least {SHORTEST} of them; PREFECT_AUTH as user:password",
            todo="set them there or in the shell, or let `make stack-settings` choose random ones",
        )
    return settings


def _problem(name: str, value: str) -> str:
    """What is wrong with a secret, in words that do not tell it; empty when nothing is."""
    user, colon, password = value.partition(":") if name == "PREFECT_AUTH" else ("user", ":", value)
    if not value:
        return "is not set"
    if not (user and colon and password):
        return "has no `user:` before its password"
    if not SAFE.fullmatch(user) or not SAFE.fullmatch(password):
        return "holds a character that is not allowed"
    return f"is shorter than {SHORTEST} characters" if len(password) < SHORTEST else ""


def write_settings() -> list[str]:
    """Make the settings file, or complete it: the names of the secrets that were chosen. Values that are there stay."""
    file = settings_file()
    if not file.exists():
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(EXAMPLE.read_text())
    have = dotenv_values(file, interpolate=False)
    chosen = [name for name in SECRETS if not have.get(name)]
    for name in chosen:
        set_key(file, name, _random(name), quote_mode="never")
    return chosen


def _random(name: str) -> str:
    value = secrets.token_hex(16)
    return f"assay:{value}" if name == "PREFECT_AUTH" else value


if __name__ == "__main__":
    names = write_settings()
    print(
        f"{settings_file()}: {', '.join(names) or 'nothing'} chosen at random. It is the only place they are written."
    )
    sys.exit(0)
