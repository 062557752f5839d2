"""What register hands on."""

from __future__ import annotations

from typing import Any

from tasks.core.facts import Facts


class VersionFacts(Facts):
    """The version of the registered model. unit: as unit.json has it (tasks/registry/unit.py)."""

    name: str
    version: int
    alias: str
    unit_digest: str
    checked_answers: int
    unit: dict[str, Any]


class VersionTold(Facts):
    """Where MLflow keeps it, and what it took; another store has other ids of the same version."""

    run_id: str
    experiment_id: str
    model_id: str
    model_uri: str
    tracking_uri: str
    artifact_bytes: int
    seconds: float
