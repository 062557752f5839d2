"""What the registry shows beside a model: its recipe, data, contract, scores and verdict, logged to the unit's run.

Every call may be repeated: the same values are written to the same places, so a retry after a kill changes nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tasks.core.handle import CURATED, FACTS, LEDGER, REFERENCE, Handle
from tasks.core.home import digest_bytes, digest_path
from tasks.core.variants import TUNED
from tasks.facts.dataset import DatasetFacts
from tasks.facts.scores import Scores
from tasks.facts.training import Losses

WHOLE = ("holdout", "edge_cases")  # baselines are logged on these; on every slice they would bury the tuned model
# Of the run's artifacts: the sha256 of each by its path, the gate's verdict, and the answers that a loaded model must
# repeat.
LIST, VERDICT, CHECKED = "evidence.json", "gate/verdict.json", "evaluation/checked_answers.json"
SCORES = "evaluation/scores.json"
SOURCES = (
    "data/sources.json"  # what the dataset was read from: the sha256 of each source by its name; and people's decisions
)
# Where each file of an artifact goes below the run's artifacts. rows: the dataset's, where they may leave ASSAY_HOME.
FILES = {
    "contract": {FACTS: "contract/contract.json", "great_expectations.json": "contract/great_expectations.json"},
    "dataset": {FACTS: "data/dataset.json", LEDGER: "data/ledger.parquet"},
    "rows": {CURATED: "data/curated.parquet", REFERENCE: "data/reference.parquet"},
    "scores": {FACTS: SCORES, "graded.parquet": "evaluation/graded.parquet"},
    "verdict": {FACTS: VERDICT},
}
PARAM_CHARACTERS = 500  # what the older databases hold; the whole recipe is an artifact
BATCH = 100  # parameters that MLflow takes at once


def log_parameters(client: Any, run: Any, recipe: str, training: Mapping[str, Any]) -> None:
    """The recipe's values as parameters `section.key`, the resolved training settings among them, and of their parts
    `train.part.key`; once a run.

    MLflow refuses to change a parameter, so a run that has them keeps those it was made with.
    """
    from mlflow.entities import Param

    if run.data.params:
        return
    parts = {f"train.{key}": value for key, value in training.items() if isinstance(value, Mapping)}
    values = {**_flat(yaml.safe_load(recipe) or {}), **_flat({"train": training}), **_flat(parts)}
    values = {key: text for key, text in values.items() if key not in parts}
    params = [Param(key, text[:PARAM_CHARACTERS]) for key, text in sorted(values.items())]
    for start in range(0, len(params), BATCH):
        client.log_batch(run.info.run_id, params=params[start : start + BATCH])


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Two levels deep, as a person names a setting; what lies deeper is JSON."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {str(key): value}
        flat |= {
            k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False, default=str) for k, v in inner.items()
        }
    return flat


def log_metrics(client: Any, run: Any, model_id: str, scores: Scores, history: Sequence[Losses]) -> None:
    """Scores as `slice/metric.variant` with `.low` and `.high` beside it, and the loss curve, on
    the run and its model.
    """
    from mlflow.entities import Metric

    measured = [
        *((name, value, 0) for name, value in _measured(scores)),
        *(curve for past in history for curve in _curves(past)),
    ]
    at = run.info.start_time  # not now: a metric of the same name, step and time is the same metric when logged again
    metrics = [
        Metric(_named(name), value, at, step, model_id=model_id, run_id=run.info.run_id)
        for name, value, step in measured
    ]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + BATCH])


def _measured(scores: Scores) -> Iterator[tuple[str, float]]:
    for m in scores.metrics:
        if m.variant == TUNED or m.slice in WHOLE:
            name = f"{m.slice}/{m.metric}.{m.variant}"
            yield from ((name, m.value), (f"{name}.low", m.low), (f"{name}.high", m.high))
    for d in scores.differences:
        if d.slice in WHOLE:
            name = f"{d.slice}/{d.metric}.gain_over_{d.baseline}"
            yield from ((name, d.difference), (f"{name}.low", d.low), (f"{name}.high", d.high))


def _curves(past: Losses) -> Iterator[tuple[str, float, int]]:
    if past.loss is not None:
        yield "train/loss", past.loss, past.step
    if past.eval_loss is not None:
        yield "train/eval_loss", past.eval_loss, past.step


def _named(name: str) -> str:
    return re.sub(r"[^\w./ -]", "_", name)  # what MLflow allows in a metric's name


def log_dataset(client: Any, run_id: str, name: str, dataset: Handle) -> None:
    """The curated dataset as the run's input, under our own digest: the one that handles and tags carry."""
    from mlflow.entities import Dataset, DatasetInput

    source = json.dumps({"step": dataset.step, "digest": dataset.digest})
    data = Dataset(name, dataset.digest[:16], "assay", source, profile=json.dumps(DatasetFacts.of(dataset).totals))
    client.log_inputs(run_id, [DatasetInput(data)])


def log_files(client: Any, run_id: str, texts: Mapping[str, str], handles: Mapping[str, Handle]) -> str:
    """Log the files of FILES that the handles have, `texts` by their path below the run's artifacts, and LIST of them
    all.

    Returns the sha256 of LIST, which so stands for every file in it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for path, text in texts.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text, encoding="utf-8")
        for kind, handle in handles.items():
            for name, path in FILES[kind].items():
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                if (handle.folder / name).exists():
                    shutil.copyfile(handle.folder / name, place / path)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        listed = json.dumps({path.relative_to(place).as_posix(): digest_path(path) for path in files}, indent=1)
        (place / LIST).write_text(listed, encoding="utf-8")
        client.log_artifacts(run_id, temporary)
    return digest_bytes(listed.encode())


def headline_text(scores: Scores) -> str:
    """The one figure that speaks for the model: `intent 93.3 % [88.1, 96.4] on 150 holdout rows`."""
    m = scores.cell(TUNED, "holdout", scores.headline)
    return f"{m.metric} {m.text(digits=1)} on {m.n:,} holdout rows"
