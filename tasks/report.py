"""report: one HTML file that a manager can read and an engineer can trust.

It is self-contained: no script, no request, and a policy in its head that forbids both. It holds what the artifacts hold and
nothing else (no clock, no machine), so the same artifacts give the same bytes. Every text that came from data is escaped, its
invisible characters are named (tasks/core/readable.py), and personal data is not in it (tasks/core/examples.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core import charts, readable, tracking
from tasks.core.answer import AnswerSettings
from tasks.core.chat import PromptSettings
from tasks.core.doubts import contradictions, doubted_labels
from tasks.core.examples import PLAIN, changed, gone, mistakes
from tasks.core.handle import Handle
from tasks.core.page import show
from tasks.core.settings import Settings
from tasks.core.variants import TUNED
from tasks.core.work import StepDirs, StepResult

PAGE = "report.html"
SETS = {"holdout": "the holdout", "edge_cases": "the edge cases"}
METRICS = {
    "json_valid": "valid JSON", "schema_valid": "schema kept", "all_graded": "all fields right", "exact": "exact match",
    "call_due": "tool called when due, and only then", "call_schema": "tool's schema kept", "call_name": "right tool",
    "call_arguments": "right tool and arguments",
}  # fmt: skip
FAULTS = {
    "json_valid": "not valid JSON", "schema_valid": "schema broken", "exact": "another text than expected",
    "call_due": "tool call missing, or not wanted", "call_schema": "tool's schema broken", "call_name": "wrong tool",
    "call_arguments": "wrong arguments",
}  # fmt: skip
VARIANTS = {"zero_shot": "base, zero-shot", "few_shot": "base, few-shot"}
LEVELS = {"warning": "Act", "note": "Look", "good": "Good"}
WORDS = {"refused": "Refused", "undecided": "Undecided", "passed": "Passed"}  # the worst first


class ReportSettings(Settings):
    """How much of the data the report shows."""

    # Wrong answers shown, the gravest first; a dozen is read, a hundred is scrolled past.
    mistakes: int = Field(default=12, ge=0, le=200)
    # Contradictions shown, and doubted labels: enough to see what kind they are; the review sheet has them all.
    doubts: int = Field(default=6, ge=0, le=200)
    # Characters of a text before it is cut, with its full length stated: about eight lines.
    text_characters: int = Field(default=600, ge=80, le=20_000)


def report(
    place: StepDirs, *, settings: ReportSettings, steps: list[Handle], dataset: Handle, contract: Handle, base: Handle,
    prompt: PromptSettings, training: Handle, scores: Handle, verdict: Handle, version: Handle | None = None,
    answer: AnswerSettings | None = None, advice: Handle | None = None, review: Handle | None = None,
) -> StepResult:  # fmt: skip
    """Write place.out/report.html, and log it to the MLflow run of `version`, if there is one.

    steps: the row steps in order, ingest first. version: None when the gate did not pass. answer: where labels stand.
    Raises OutsideError while MLflow does not answer.
    """
    limit, measured = settings.text_characters, scores.facts()
    graded = scores.frame("graded.parquet").filter(pl.col("variant") == TUNED)
    questions = {i: readable.impersonal(q or "") for i, q in graded.select("row_id", "question").iter_rows()}
    told = summary(measured, verdict.facts(), version)
    made = (*steps, dataset, advice, review, contract, base, training, scores, verdict, version)
    curation = _curation(settings, steps, answer or AnswerSettings(), advice, review)
    page = place.out / PAGE
    text = _template().render(
        summary=told, dataset=dataset.facts(), dataset_digest=dataset.digest, contract=contract.facts(), base=base.facts(),
        prompt=prompt, training=training.facts(), scores=_scores(measured), verdict=verdict.facts(), limit=limit,
        version=version.facts() if version else None, changed=changed(steps, limit), gone=gone(steps, questions, limit),
        mistakes=_mistakes(graded, _metrics(measured), settings.mistakes),
        artifacts=[(handle, _seconds(handle)) for handle in made if handle], **curation,
    )  # fmt: skip
    page.write_text(text, encoding="utf-8")
    if version:
        log_to_mlflow(version.facts()["run_id"], page)
    return StepResult("report", f"{told['sentence']} {told['registered']}", told)


def _curation(
    settings: ReportSettings, steps: list[Handle], answer: AnswerSettings, advice: Handle | None, review: Handle | None
) -> dict[str, Any]:
    """What people should look at; a section without anything to say is left out."""
    shown, limit = settings.doubts, settings.text_characters
    return {
        "advice": advice.facts() if advice else None, "review": review.facts() if review else None,
        "review_folder": review.path if review else "", "conflicts": contradictions(steps, answer, shown, limit),
        "labels": doubted_labels(steps, shown, limit),
    }  # fmt: skip


def summary(scores: dict[str, Any], verdict: dict[str, Any], version: Handle | None) -> dict[str, Any]:
    """The outcome in words: verdict, sentence, registered (as what, or that not), missed rules, rows of the first table."""
    best, metric = scores["best_baseline"], scores["headline"]
    cells = {(m["variant"], m["metric"]): m for m in scores["metrics"] if m["slice"] == "holdout"}
    tuned, against = cells[TUNED, metric], cells.get((best, metric))
    sentence = f"The tuned model gets {_metric(metric)} on {readable.percent(tuned['value'])} of {tuned['n']:,} holdout rows"
    sentence += f"; the same base model, prompted, on {readable.percent(against['value'])}." if against else "."
    names = sorted((m for v, m in cells if v == TUNED), key=lambda name: name != metric)  # the sentence's comes first
    missed = sorted((r for r in verdict["rules"] if r["verdict"] != "passed"), key=lambda r: list(WORDS).index(r["verdict"]))
    return {
        "verdict": verdict["verdict"], "sentence": sentence, "registered": _registered(verdict, version, missed),
        "missed": missed, "best": best, "confidence": f"{100 * scores['confidence']:g}",
        "n": max(cell["n"] for cell in cells.values()),
        "rows": [{"metric": name, "tuned": cells[TUNED, name], "base": cells.get((best, name))} for name in names],
    }  # fmt: skip


def log_to_mlflow(run_id: str, page: Path) -> None:
    """Add the page to the artifacts of a run; logging it again changes nothing.

    Raises OutsideError when MLflow does not answer, RegistrationError when it refuses, as for a run that was deleted.
    """
    client = tracking.client()
    with tracking.outside("take the report (the model itself is registered)"):
        client.log_artifact(run_id, str(page))


def publish(made: Handle, links: Sequence[str] = (), more: Sequence[str] = ()) -> None:
    """Put the summary and the page's place on the page of the Prefect run under way, also when it came from the cache.

    A flow calls this after the step: only then does the artifact have its final place. links: lines of Markdown that say where
    a browser finds the page, instead of its path. more: lines that follow the summary.
    """
    from prefect.artifacts import create_markdown_artifact
    from prefect.context import FlowRunContext, TaskRunContext

    if FlowRunContext.get() or TaskRunContext.get():
        told = f"{WORDS[made.facts()['verdict']]}: {made.facts()['line']}"
        text = "\n".join([summary_markdown(made, links), "", *more])
        show(create_markdown_artifact, markdown=text, key="outcome", description=told)


def summary_markdown(made: Handle, links: Sequence[str] = ()) -> str:
    """The headline as Markdown, with links to the page; the path is also text, as browsers follow no link to a file."""
    facts, page = made.facts(), made.folder / PAGE
    places = links or [f"The whole report: [{PAGE}]({page.as_uri()})", "", f"`{page}`"]
    lines = [f"# {WORDS[facts['verdict']]}", facts["sentence"], facts["registered"], "", *places, ""]
    lines += [f"- {rule['verdict']}: {rule['rule']}. {rule['why']}" for rule in facts["missed"]]
    lines += ["", f"| on the holdout | {_variant(facts['best']) or 'base'} | {TUNED} |", "|---|---|---|"]
    lines += [f"| {_metric(row['metric'])} | {_cell(row['base'])} | {_cell(row['tuned'])} |" for row in facts["rows"]]
    return "\n".join(lines)


def _cell(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return "—"
    low, high, n = measured["low"], measured["high"], measured["n"]
    return f"{readable.percent(measured['value'])} {readable.span(low, high)}, n = {n:,}"


def _registered(verdict: dict[str, Any], version: Handle | None, missed: list[dict[str, Any]]) -> str:
    if version is None:
        why = f": {len(missed)} of {len(verdict['rules'])} gate rules did not pass" if missed else ""
        return f"Not registered{why}."
    return "Registered in MLflow as {name}, version {version}, alias {alias}.".format(**version.facts())


def _metrics(scores: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(m["metric"] for m in scores["metrics"]))


def _scores(facts: dict[str, Any]) -> dict[str, Any]:
    """The scores as the page shows them: by slice, metric and variant; the sets apart from their slices; paired differences."""
    names, slices = _metrics(facts), list(dict.fromkeys(m["slice"] for m in facts["metrics"]))
    sizes = {s: max(m["n"] for m in facts["metrics"] if m["slice"] == s) for s in slices}  # `exact` is a metric of every row
    return {
        **facts, "cells": {(m["slice"], m["metric"], m["variant"]): m for m in facts["metrics"]}, "names": names,
        "sizes": sizes, "sets": [s for s in slices if s in SETS], "slices": [s for s in slices if s not in SETS],
        "others": [name for name in names if name != facts["headline"] and name not in PLAIN],
        "paired": [d for d in facts["differences"] if d["baseline"] == facts["best_baseline"] and d["slice"] in SETS],
    }  # fmt: skip


def _mistakes(graded: pl.DataFrame, metrics: list[str], shown: int) -> dict[str, Any]:
    found = mistakes(graded, metrics)
    sizes, wrong = Counter(graded["set"]), Counter(mistake.set for mistake in found)
    kinds = Counter(mistake.failed[0] for mistake in found)
    sets = [(name, wrong[name], sizes[name]) for name in SETS if sizes[name]]
    return {"shown": found[:shown], "all": len(found), "kinds": kinds.items(), "sets": sets}


def _seconds(handle: Handle) -> float | None:
    facts = handle.facts()
    seconds = facts.get("seconds", facts.get("actual", {}).get("seconds"))
    return None if seconds is None else float(sum(seconds.values()) if isinstance(seconds, dict) else seconds)


def _metric(name: str) -> str:
    return METRICS.get(name, f"{name} right")


def _variant(name: str) -> str:
    return VARIANTS.get(name, name)


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=lambda value: readable.visible(value) if type(value) is str else value,
    )  # fmt: skip
    shown = ("percent", "points", "count", "duration", "estimate", "size", "short")
    environment.filters |= {name: getattr(readable, name) for name in shown}
    environment.filters |= {"metric": _metric, "variant": _variant, "fault": lambda name: FAULTS.get(name, f"wrong {name}")}
    environment.filters |= {"set": lambda name: SETS.get(name, name)}
    environment.globals |= {"chart": charts, "span": readable.span, "words": WORDS, "levels": LEVELS}
    return environment.get_template(PAGE)
