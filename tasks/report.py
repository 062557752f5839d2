"""report: one HTML file that a manager can read and an engineer can trust.

It is self-contained: no script, no request, and a policy in its head that forbids both. It holds what the artifacts hold
and nothing else (no clock, no machine), so the same artifacts give the same bytes. Every text that came from data is escaped and its
invisible characters are named (tasks/core/readable.py); a row that redact has not seen is not shown (tasks/core/examples.py).
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import polars as pl
from pydantic import Field

from tasks.core import charts, readable
from tasks.core.chat import PromptSettings
from tasks.core.errors import OutsideError, RegistrationError
from tasks.core.examples import PLAIN, changed, gone, mistakes
from tasks.core.handle import Handle
from tasks.core.settings import Settings
from tasks.core.step import Made, Place

PAGE = "report.html"
TUNED = "tuned"
SETS = {"holdout": "the holdout", "edge_cases": "the edge cases"}
METRICS = {
    "json_valid": "valid JSON", "schema_valid": "schema kept", "all_graded": "all fields right", "exact": "exact match",
}  # fmt: skip
VARIANTS = {"zero_shot": "base, zero-shot", "few_shot": "base, few-shot", TUNED: "tuned"}
WORDS = {"passed": "Passed", "refused": "Refused", "undecided": "Undecided"}


class ReportSettings(Settings):
    """How much of the data the report shows."""

    # Wrong answers shown, the gravest first; a dozen is read, a hundred is scrolled past.
    mistakes: int = Field(default=12, ge=0, le=200)
    # Characters of a text before it is cut, with its full length stated: about eight lines.
    text_characters: int = Field(default=600, ge=80, le=20_000)


def report(
    place: Place, *, settings: ReportSettings, steps: list[Handle], dataset: Handle, contract: Handle, training: Handle,
    scores: Handle, verdict: Handle, version: Handle | None = None, base: Handle | None = None,
    prompt: PromptSettings | None = None,
) -> Made:  # fmt: skip
    """Write place.out/report.html, and log it to the MLflow run of `version`, if there is one.

    steps: the row steps in order, ingest first. base, prompt: what was registered, shown if given. Raises OutsideError
    while MLflow does not answer.
    """
    artifacts = [
        *steps,
        dataset,
        contract,
        *([base] if base else []),
        training,
        scores,
        verdict,
        *([version] if version else []),
    ]
    told = {
        "summary": summary(scores.facts(), verdict.facts(), version), "version": _version(version, base, dataset), "prompt": prompt,
        "dataset": dataset.facts(), "contract": contract.facts(), "training": training.facts(), "verdict": verdict.facts(),
        "changed": changed(steps, settings.text_characters), "gone": gone(steps, _questions(scores), settings.text_characters),
        "scores": _scores(scores.facts()), "mistakes": _mistakes(scores, settings.mistakes), "limit": settings.text_characters,
        "artifacts": [(handle, _seconds(handle)) for handle in artifacts],
    }  # fmt: skip
    page = place.out / PAGE
    page.write_text(_template().render(told), encoding="utf-8")
    if version and version.facts().get("run_id"):
        log_to_mlflow(version.facts(), page)
    facts = {**told["summary"], "bytes": page.stat().st_size}
    return Made("report", f"{facts['sentence']} {facts['registered']}", facts)


def summary(scores: dict[str, Any], verdict: dict[str, Any], version: Handle | None) -> dict[str, Any]:
    """The outcome in words: verdict, sentence, registered (where to, or why not), rows of the headline table."""
    best, metric = scores["best_baseline"], scores["headline"]
    cells = {(m["variant"], m["metric"]): m for m in scores["metrics"] if m["slice"] == "holdout"}
    tuned, against = cells[TUNED, metric], cells.get((best, metric))
    sentence = (
        f"The tuned model gets {_metric(metric)} on {readable.percent(tuned['value'])} of {tuned['n']:,} holdout rows"
    )
    sentence += f"; the same base model, prompted, on {readable.percent(against['value'])}." if against else "."
    rows = [
        {"metric": m, "tuned": cells[TUNED, m], "base": cells.get((best, m))}
        for m in sorted(_metrics(scores), key=lambda m: m != metric)
    ]
    return {
        "verdict": verdict["verdict"], "sentence": sentence, "registered": _registered(verdict, version), "rows": rows,
        "best": best, "confidence": scores["confidence"],
    }  # fmt: skip


def log_to_mlflow(version: dict[str, Any], page: Path) -> None:
    """Add the page to the artifacts of the version's run; logging it again changes nothing.

    version: facts of register: run_id, tracking_uri. Raises OutsideError when MLflow does not answer, RegistrationError when it
    no longer knows the run.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    where = f"MLflow at {_public(version.get('tracking_uri') or 'MLFLOW_TRACKING_URI')}, run {version['run_id']}"
    try:
        MlflowClient(tracking_uri=version.get("tracking_uri")).log_artifact(version["run_id"], str(page))
    except (MlflowException, OSError) as error:
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            raise RegistrationError(
                "MLflow does not know the run that the model was registered from.", where=where,
                todo="it was deleted: restore it (mlflow runs restore), or change the recipe and register anew",
            ) from error  # fmt: skip
        raise OutsideError(
            f"MLflow did not take the report: {str(error).splitlines()[0][:300]}", where=where,
            todo="start it again and run the same command; the model is registered already, and only the report is missing",
        ) from error  # fmt: skip


def publish(made: Handle) -> None:
    """Put the report's summary and its place on the page of the Prefect run under way, also when it came from the cache."""
    from prefect.artifacts import create_markdown_artifact
    from prefect.context import FlowRunContext, TaskRunContext

    if FlowRunContext.get() or TaskRunContext.get():
        create_markdown_artifact(summary_markdown(made), key="report-page", description="Report of this run")


def summary_markdown(made: Handle) -> str:
    """The headline as Markdown, with where the page lies.

    The path also stands there as text, because browsers do not follow a link from a web page to a file.
    """
    facts, page = made.facts(), made.folder / PAGE
    lines = [
        f"# {WORDS[facts['verdict']]}",
        facts["sentence"],
        facts["registered"],
        "",
        f"| on the holdout | {TUNED} | base |",
    ]
    lines += ["|---|---|---|"]
    lines += [f"| {_metric(row['metric'])} | {_told(row['tuned'])} | {_told(row['base'])} |" for row in facts["rows"]]
    lines += ["", f"The whole report: [{PAGE}]({page.as_uri()})", "", f"`{page}`"]
    return "\n".join(lines)


def _told(cell: dict[str, Any] | None) -> str:
    return (
        f"{readable.percent(cell['value'])} {readable.span(cell['low'], cell['high'])}, n = {cell['n']:,}"
        if cell
        else "—"
    )


def _registered(verdict: dict[str, Any], version: Handle | None) -> str:
    if version:
        facts = version.facts()
        alias = f", alias {facts['alias']}" if facts.get("alias") else ""
        return f"Registered in MLflow as {facts['name']}, version {facts['version']}{alias}."
    missed = [rule for rule in verdict["rules"] if rule["verdict"] != "passed"]
    if not missed:
        return "Nothing was registered."
    why = f"{len(missed)} of {len(verdict['rules'])} gate rules did not pass"
    return f"Not registered: {why}. First: {missed[0]['rule']}. {missed[0]['why']}"


def _version(version: Handle | None, base: Handle | None, dataset: Handle) -> dict[str, Any] | None:
    if version is None:
        return None
    facts = version.facts()
    return {
        **facts, "base": base.facts() if base else {}, "dataset_digest": dataset.digest,
        "model_uri": facts.get("model_uri") or f"models:/{facts['name']}/{facts['version']}",
        "tracking_uri": _public(facts.get("tracking_uri") or ""),
    }  # fmt: skip


def _public(uri: str) -> str:
    """A tracking address without the user and password that may stand in it."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def _metrics(scores: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(m["metric"] for m in scores["metrics"]))


def _scores(facts: dict[str, Any]) -> dict[str, Any]:
    """The scores by what the page shows: each set by metric and variant, each named slice, paired differences."""
    names, cells = _metrics(facts), {(m["slice"], m["metric"], m["variant"]): m for m in facts["metrics"]}
    slices = list(dict.fromkeys(m["slice"] for m in facts["metrics"]))
    best = facts["best_baseline"]
    return {
        **facts, "cells": cells, "sets": [s for s in slices if s in SETS], "slices": [s for s in slices if s not in SETS],
        "names": names, "others": [m for m in names if m != facts["headline"] and m not in PLAIN],
        "paired": [d for d in facts["differences"] if d["baseline"] == best and d["slice"] in SETS],
    }  # fmt: skip


def _mistakes(scores: Handle, shown: int) -> dict[str, Any]:
    graded = scores.frame("graded.parquet").filter(pl.col("variant") == TUNED)
    found = mistakes(graded, _metrics(scores.facts()))
    sizes = Counter(graded["set"])
    return {
        "shown": found[:shown], "all": len(found), "kinds": Counter(m.failed[0] for m in found).items(),
        "sets": [(name, sum(m.set == name for m in found), sizes[name]) for name in SETS if sizes[name]],
    }  # fmt: skip


def _questions(scores: Handle) -> dict[str, str]:
    graded = scores.frame("graded.parquet").filter(pl.col("variant") == TUNED)
    return dict(graded.select("row_id", pl.col("question").fill_null("")).iter_rows())


def _seconds(handle: Handle) -> float | None:
    facts = handle.facts()
    seconds = facts.get("seconds", facts.get("actual", {}).get("seconds"))
    return None if seconds is None else float(seconds)


def _metric(name: str) -> str:
    return METRICS.get(name, f"{name} right")


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_finalize,
    )  # fmt: skip
    environment.filters |= {
        "percent": readable.percent, "count": readable.count, "duration": readable.duration, "size": readable.size,
        "points": partial(readable.percent, sign=True), "short": readable.short, "metric": _metric,
        "variant": lambda name: VARIANTS.get(name, name), "set": lambda name: SETS.get(name, name),
    }  # fmt: skip
    environment.globals |= {"chart": charts, "span": readable.span, "words": WORDS}
    return environment.get_template(PAGE)


def _finalize(value: Any) -> Any:
    """Applied to each value the template prints, before it is escaped."""
    return readable.visible(value) if type(value) is str else value
