"""What tests of the registry share: everything that the flow hands to `register`, around a tiny model with real
adapters.

inputs = make_inputs(tmp_path)                       # a base, an adapter, what it answers, and a gate that passed
inputs.register()                                    # version 1 of `shop`, challenger
another(inputs, seed=2).register()                   # version 2
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, commit, home, new_artifact
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.work import StepDirs, StepResult
from tasks.model.base_model import BaseModelSettings, find_model
from tasks.model.chat_template import PromptSettings, question
from tasks.model.generation import load_generator
from tasks.personal_data.finders import PersonalData
from tasks.registry import mlflow_client
from tasks.release.register import Proof, RecipeText, RecordedAnswers, RegisterSettings, UnitParts, register
from tasks.training.fetch import fetch
from tests.support.tiny_model import tiny_adapter, tiny_model

PREDICTIONS = "predictions.parquet"
TEXTS = [
    "Where is my parcel?",
    "I want my money back.",
    "Cancel my order, please!",
    "Wo ist mein Paket? 🙂",
    "",
    "a\nb",
]
PROMPT = PromptSettings(system="Triage this message.", max_new_tokens=12)
YAML = "name: shop\ntrain: {epochs: 2}\nprompt:\n  system: Triage this message.\n"


@dataclass(frozen=True)
class Inputs:
    """What the flow hands to register."""

    base: Handle
    adapter: Handle
    dataset: Handle
    contract: Handle
    scores: Handle
    verdict: Handle
    predictions: Handle
    holdout: Handle
    name: str = "shop"
    prompt: PromptSettings = PROMPT

    def register(self, checked: int = 8, scratch: str = "") -> StepResult:
        """scratch: of this call alone, where several register at once."""
        place = home() / "scratch" / (scratch or self.name)
        place.mkdir(parents=True, exist_ok=True)
        return register(
            StepDirs(home() / "out", place, Progress("register")),
            settings=RegisterSettings(checked_answers=checked),
            recipe=RecipeText(name=self.name, yaml=YAML),
            parts=UnitParts(
                self.prompt, BaseModelSettings(source=str(home().parent / "base")), self.base, self.adapter
            ),
            proof=Proof(self.contract, self.dataset, self.scores, self.verdict),
            answers=RecordedAnswers(self.holdout, self.predictions),
            personal=PersonalData(),
        )


def keep(out: Path, step: str, made: StepResult) -> tuple[Path, str]:
    """As the step wrapper does it."""
    (out / FACTS).write_text(json.dumps(made.facts))
    (out / TOLD).write_text(json.dumps({"line": made.line, **made.told}))
    return commit(out, step)


def artifact(step: str, kind: str, facts: dict[str, Any], fill: Any = lambda out: None, rows: int = 0) -> Handle:
    with new_artifact(step) as out:
        fill(out)
        path, digest = keep(out, step, StepResult(kind, "", facts))
    return Handle.of(path, step=step, kind=kind, digest=digest, rows=rows)


def rows(texts: list[str]) -> pl.DataFrame:
    def turns(text: str) -> list[dict[str, str]]:
        said = {"system": "old", "user": text, "assistant": "?"}
        return [{"role": role, "content": content} for role, content in said.items()]

    told = [
        {"row_id": f"{n:064x}", "source": "holdout.jsonl", "line": n + 1, "meta": "{}", "messages": turns(text)}
        for n, text in enumerate(texts)
    ]
    return pl.DataFrame(told, schema=ROW_SCHEMA)


def predicted(base: Handle, adapter: Handle, asked: pl.DataFrame) -> Handle:
    speaker = load_generator(base.folder / "model", adapter.folder / "adapter", PROMPT)
    answers = speaker.answer([question(messages) for messages in asked["messages"]])
    told = {"answer": [a.text for a in answers], "calls": [a.calls for a in answers]}
    schema = dict.fromkeys(told, pl.String)
    return recorded(asked.select("row_id", pl.lit("holdout").alias("set")).hstack(pl.DataFrame(told, schema=schema)))


def recorded(frame: pl.DataFrame) -> Handle:
    return artifact("tuned", "predictions", {"variant": "tuned"}, lambda out: frame.write_parquet(out / PREDICTIONS))


def measured(value: float) -> dict[str, Any]:
    return {"n": 6, "right": round(6 * value), "value": value, "low": value - 0.1, "high": value + 0.05}


def scores_of(metrics: list[dict[str, Any]], differences: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """The facts of evaluate. metrics, differences: as Measured and Difference have them
    (tasks/facts/scores.py).
    """
    variants = [*dict.fromkeys(m["variant"] for m in metrics)]
    return {
        "variants": variants,
        "best_baseline": next((v for v in variants if v != "tuned"), ""),
        "headline": "exact",
        "confidence": 0.95,
        "metrics": metrics,
        "differences": [*differences],
    }


def make_inputs(folder: Path) -> Inputs:
    settings = BaseModelSettings(source=str(tiny_model(folder / "base", TEXTS)))
    with new_artifact("fetch") as out:
        made = fetch(StepDirs(out, out, Progress("fetch")), settings=settings, found=find_model(settings, folder))
        path, digest = keep(out, "fetch", made)
    base = Handle.of(path, step="fetch", kind="model", digest=digest)
    history = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 2, "eval_loss": 1.5}]
    adapter = artifact(
        "train",
        "adapter",
        {"history": history, "settings": {"epochs": 2, "rank": 4}},
        lambda out: tiny_adapter(base.folder / "model", out / "adapter"),
    )
    asked = rows(TEXTS)
    cell = {"slice": "holdout", "metric": "exact"}
    scores = scores_of(
        [{"variant": v, **cell, **measured(x)} for v, x in (("zero_shot", 0.2), ("tuned", 0.9))],
        [{"baseline": "zero_shot", **cell, "wins": 4, "losses": 0, "n": 6, "difference": 0.7, "low": 0.5, "high": 0.8}],
    )
    return Inputs(
        base=base,
        adapter=adapter,
        predictions=predicted(base, adapter, asked),
        dataset=artifact("account", "dataset", {"raw": 9, "kept": 6, "dropped": 2, "quarantined": 1}),
        contract=artifact("check", "contract", {"passed": True, "warnings": 1}),
        scores=artifact("evaluate", "scores", scores),
        verdict=artifact("gate", "verdict", {"verdict": "passed"}),
        holdout=artifact(
            "holdout", "rows", {}, lambda out: asked.write_parquet(out / "rows.parquet"), rows=asked.height
        ),
    )


def another(inputs: Inputs, seed: int) -> Inputs:
    """The same with another adapter, so with other answers: another version of the same model."""
    base = inputs.base.folder / "model"
    adapter = artifact("train", "adapter", {}, lambda out: tiny_adapter(base, out / "adapter", seed=seed))
    return replace(inputs, adapter=adapter, predictions=predicted(inputs.base, adapter, rows(TEXTS)))


def stored(name: str, version: int | str = 1) -> Path:
    """The files of a registered version where MLflow keeps them."""
    client = mlflow_client.client()
    found = client.get_model_version(name, str(version))
    return Path(client.get_logged_model(mlflow_client.model_id(found)).artifact_location.removeprefix("file://"))


def change(file: Path, old: str, new: str) -> None:
    """Change a file of a version, for example of its code; fails when what is to be replaced is not there."""
    text = file.read_text()
    assert old in text, file
    file.write_text(text.replace(old, new))
