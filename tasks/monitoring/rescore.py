"""rescore: the champion, as it is served from the registry, answers the newest labelled rows: is it right as often as
it was?

Their answers are as the sources gave them, wrong ones too, while the holdout's were checked: so the rule leaves a
margin (`accuracy_drop`), and asks that the whole interval lies below it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import polars as pl

from tasks.core.handle import Handle
from tasks.core.row import tools_of, turns
from tasks.core.variants import TUNED
from tasks.core.work import StepDirs, StepResult
from tasks.data.dates import USUAL, written_at
from tasks.facts.scores import Scores
from tasks.facts.watched import RescoreFacts, Share
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.catalog import headline, measured_on, metrics_of
from tasks.metrics.reference import ModelAnswer, Reference
from tasks.metrics.scoring import interval_of, score_column
from tasks.model.chat_template import question
from tasks.monitoring.retrain_rule import WatchSettings
from tasks.registry import mlflow_client, versions
from tasks.registry.champion import Champion
from tasks.registry.loaded_version import LoadedVersion

CONFIDENCE = 0.95  # as evaluate's default
BATCH = 32  # rows a request: as many as are decoded together


def rescore(
    place: StepDirs, settings: WatchSettings, champion: Champion, snapshot: Handle, rows: Handle, answer: AnswerSettings
) -> StepResult:
    """rows: new ones that training would gain. Leaves rescored.parquet: row_id, expected, answer, refused (why there is
    no answer), and a score a metric: of a question that the served model refuses no answer is right.

    Facts: metric, now, registered (None if the registry does not say), below, told. Raises OutsideError while MLflow
    does not answer.
    """
    asked = newest(rows.frame(), settings.scored_rows)
    with mlflow_client.outside("give the champion back"):
        client = mlflow_client.client()
        version = client.get_model_version(champion.name, str(champion.version))
    place.progress(0.02, f"loading {champion.title}")
    given: list[tuple[ModelAnswer | None, str | None]] = []
    with LoadedVersion(versions.download(version, place.scratch / "champion")) as model:
        for some in asked.iter_slices(BATCH):
            questions = [(question(turns(row)), tools_of(row["meta"])) for row in some.iter_rows(named=True)]
            given += model.answers_or_reasons(questions)
            place.progress(len(given) / asked.height, f"{len(given):,} of {asked.height:,} rows answered")
    references = [Reference.of(row) for row in asked.iter_rows(named=True)]
    answers = [one for one, _ in given]
    metrics = measured_on(references, metrics_of(answer))
    texts = {
        "expected": [one.answer.as_text if one.answer else None for one in references],
        "answer": [one.as_text if one else None for one in answers],
        "refused": [why for _, why in given],
    }
    told = asked.select("row_id").with_columns(pl.Series(name, text, pl.String) for name, text in texts.items())
    scored = told.with_columns(score_column(metric, references, answers) for metric in metrics)
    scored.write_parquet(place.out / "rescored.parquet")
    metric = headline([m for m in metrics if not m.is_number]).name  # the rule is one of accuracy: a share
    now = Share(**asdict(interval_of(scored[metric].drop_nulls(), CONFIDENCE)))
    facts = judge_drop(settings, metric, now, registered_share(snapshot, metric))
    if refused := [why for _, why in given if why]:
        told_too = f"{facts.told}; it refuses {len(refused):,} of them: {refused[0]}"
        facts = facts.model_copy(update={"told": told_too})
    return StepResult("rescored", facts.told, facts.written(), [_row(facts)], asked.height)


def newest(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most `most` rows, the last written first; of rows without a date, which come last, a fair draw by row_id."""
    dates = pl.Series("at", [written_at(meta, USUAL) for meta in rows["meta"]], dtype=pl.Float64)
    return (
        rows.with_columns(dates).sort("at", "row_id", descending=[True, False], nulls_last=True).head(most).drop("at")
    )


def registered_share(snapshot: Handle, metric: str) -> Share | None:
    """The champion's figure on its holdout, as it was registered."""
    file = snapshot.folder / "scores.json"
    found = Scores.read(file).find(TUNED, "holdout", metric) if file.exists() else None
    return Share(value=found.value, low=found.low, high=found.high, n=found.n) if found else None


def judge_drop(settings: WatchSettings, metric: str, now: Share, was: Share | None) -> RescoreFacts:
    """The facts: whether the whole interval on new rows lies below the registered figure by the recipe's margin."""
    limit = was.value - settings.accuracy_drop if was else 0.0
    below = bool(was and settings.accuracy_drop and now.n >= settings.least_rows and now.high < limit)
    against = f"; registered with {was.text} holdout rows" if was else ""
    told = f"{metric} {now.text} newest rows{against}"
    if below:
        told += f": all of the interval is below {limit:.1%}"
    return RescoreFacts(metric=metric, now=now, registered=was, limit=limit, below=below, told=told)


def _row(facts: RescoreFacts) -> dict[str, Any]:
    was = facts.registered.text if facts.registered else "not known"
    return {
        "metric": facts.metric,
        "new rows": facts.now.text,
        "registered": was,
        "limit": f"{facts.limit:.1%}",
        "below": facts.below,
    }
