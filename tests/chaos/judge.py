"""What became of a run: its artifacts' digests, its ledger, what stands in the registry, what is left behind.

Two models of the same data differ in their names only, so all that a run makes must have the same digest, but for what
names the model: the registration's facts are compared without the name, and the report is only looked for.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.home import digest_json, digest_path
from tests.chaos.stage import Scene

NAMES_THE_MODEL = ("register", "report")
REGISTERED = ("version", "alias", "unit_digest", "checked_answers")


@dataclass(frozen=True)
class Outcome:
    """digests: step to the digest of what it made. rows: the account. registered: what of the model is in MLflow."""

    digests: dict[str, str]
    rows: dict[str, int]
    registered: dict[str, Any]
    wrong: list[str] = field(default_factory=list)


def outcome_of(scene: Scene) -> Outcome:
    """What stands in the scene's home and in MLflow after its run."""
    digests, rows, wrong = {}, {}, list[str]()
    for record in sorted((scene.home / "results").iterdir()):
        handle = handle_of(record)
        if not handle:  # what a failed attempt raised
            continue
        folder, step = scene.home / handle["path"], handle["step"]
        if digest_path(folder) != handle["digest"]:
            wrong.append(f"{step}: its files do not have the digest that the handle says")
        facts = json.loads((folder / "facts.json").read_text())
        if step == "account":
            rows = {name: facts[name] for name in ("raw", "kept", "dropped", "quarantined")}
        known = digest_json({name: facts[name] for name in REGISTERED}) if step == "register" else handle["digest"]
        digests[step] = "made" if step == "report" else known
    return Outcome(digests, rows, registered_of(scene.model), [*wrong, *_left(scene.home)])


def handle_of(record: Path) -> dict[str, Any]:
    """The handle in one of Prefect's persisted results; nothing where it is an error, or empty, of a disk that was
    full.
    """
    found = json.loads(record.read_text() or '{"result": null}')["result"]
    parsed = json.loads(found) if found and isinstance(found, str) else found
    handle = parsed.get("data", parsed) if isinstance(parsed, dict) else {}
    return handle if isinstance(handle, dict) and "digest" in handle else {}


def forget_from(home: Path, step: str) -> None:
    """Take `step` and all that was made after it out of a home, results and artifacts, as if the run had just come
    there.
    """
    records = sorted(
        (path for path in (home / "results").iterdir() if handle_of(path)), key=lambda path: path.stat().st_mtime
    )
    first = next(number for number, record in enumerate(records) if handle_of(record)["step"] == step)
    for record in records[first:]:
        shutil.rmtree(home / handle_of(record)["path"], ignore_errors=True)
        record.unlink()


def registered_of(model: str) -> dict[str, Any]:
    """What of a model is in MLflow: how many versions, models and runs, in which states, and the aliases."""
    from tasks.registry import mlflow_client

    client = mlflow_client.client()
    versions = client.search_model_versions(f"name = '{model}'")
    experiment = client.get_experiment_by_name(model)
    ids = [experiment.experiment_id] if experiment else []
    aliases = dict(client.get_registered_model(model).aliases) if versions else {}
    models = client.search_logged_models(ids) if ids else []
    runs = client.search_runs(ids) if ids else []
    return {
        "versions": len(versions),
        "aliases": {name: str(number) for name, number in aliases.items()},
        "states": dict(Counter(one.tags.get("assay.state", "") for one in versions)),
        "models": dict(Counter(str(one.status) for one in models)),
        "runs": dict(Counter(one.info.status for one in runs)),
    }


def _left(home: Path) -> list[str]:
    """Unfinished work that a finished run has left behind."""
    scratch = [path for path in (home / "scratch").glob("*/*") if path.is_dir()]
    half = [path for path in (home / "artifacts" / ".new").iterdir() if path.is_dir()]
    return [f"left behind: {path.relative_to(home)}" for path in (*scratch, *half)]


def differences(found: Outcome, wanted: Outcome) -> list[str]:
    """How a run that was hit differs from the undisturbed one, in words; nothing when it does not."""
    wrong = list(found.wrong)
    rows = found.rows
    if not rows or rows["raw"] != rows["kept"] + rows["dropped"] + rows["quarantined"]:
        wrong.append(f"the ledger does not balance: {rows}")
    wrong += [
        f"rows {name}: {rows.get(name)} for {number}"
        for name, number in wanted.rows.items()
        if rows.get(name) != number
    ]
    steps = {*found.digests, *wanted.digests}
    wrong += [f"another {step}" for step in sorted(steps) if found.digests.get(step) != wanted.digests.get(step)]
    wrong += [
        f"{what} in the registry: {found.registered[what]} for {expected}"
        for what, expected in wanted.registered.items()
        if found.registered[what] != expected
    ]
    return wrong
