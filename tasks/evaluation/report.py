"""report: one HTML file that a manager can read and an engineer can trust.

It is self-contained: no script, no request, and a policy in its head that forbids both. It holds what the artifacts
hold and nothing else (no clock, no machine), so the same artifacts give the same bytes. Every text that came from data
is escaped, its invisible characters are named (tasks/core/text/display.py), and personal data is not in it
(tasks/reporting/row_examples.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.facts import Facts
from tasks.core.handle import Handle
from tasks.core.process.run_page import show
from tasks.core.settings import Settings
from tasks.core.text import display
from tasks.core.variants import CHAMPION, TUNED
from tasks.core.work import StepDirs, StepResult
from tasks.facts.report import HeadlineRow, ReportFacts
from tasks.facts.scores import Measured, Scores
from tasks.facts.verdict import JudgedRule, Verdict
from tasks.facts.version import VersionFacts, VersionTold
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import Message, PromptSettings, question
from tasks.registry import mlflow_client
from tasks.reporting import charts, measured_text
from tasks.reporting.beside_model import champion_sentence, without_model
from tasks.reporting.label_classes import by_class, proportions
from tasks.reporting.row_examples import changed_rows, lost_rows, mistakes
from tasks.reporting.suspect_rows import contradictions, doubted_labels

PAGE = "report.html"
SETS = {"holdout": "the holdout", "edge_cases": "the edge cases"}
VARIANTS = {
    "zero_shot": "base, zero-shot",
    "few_shot": "base, few-shot",
    "majority_class": "commonest answer",
    "logistic_regression": "logistic regression",
}
RIVALS = {"champion": "the champion", "majority_class": "the commonest answer", "logistic_regression": "the classifier"}
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
    place: StepDirs,
    *,
    settings: ReportSettings,
    steps: list[Handle],
    dataset: Handle,
    contract: Handle,
    base: Handle,
    prompt: PromptSettings,
    training: Handle,
    scores: Handle,
    verdict: Handle,
    version: Handle | None = None,
    answer: AnswerSettings | None = None,
    advice: Handle | None = None,
    review: Handle | None = None,
    asked: Handle | None = None,
    compared: Handle | None = None,
    model: str = "",
) -> StepResult:
    """Write place.out/report.html, and log it to the MLflow run of `version`, if there is one.

    steps: the row steps in order, ingest first. version: None when the gate did not pass. answer: where labels stand.
    asked: the holdout's rows as the model was asked them, compared: as they would be in training. model: the recipe's
    name for it.
    Raises OutsideError while MLflow does not answer.
    """
    limit, measured, judged = settings.text_characters, Scores.of(scores), Verdict.of(verdict)
    graded = scores.frame("graded.parquet").filter(pl.col("variant") == TUNED)
    questions = {i: display.impersonal(q or "") for i, q in graded.select("row_id", "question").iter_rows()}
    told = summary(measured, judged, version)
    made = (*steps, dataset, advice, review, contract, base, training, asked, scores, verdict, version)
    curation = _curation(settings, steps, answer or AnswerSettings(), advice, review)
    page = place.out / PAGE
    text = _template(measured).render(
        summary=told,
        dataset=dataset.facts(),
        dataset_digest=dataset.digest,
        contract=contract.facts(),
        base=base.facts(),
        prompt=prompt,
        training=training.facts(),
        scores=_scores(measured),
        verdict=judged,
        limit=limit,
        version=version.facts() if version else None,
        model=model,
        holdout=_holdout(asked),
        classes=_classes(graded, measured, answer or AnswerSettings()),
        proportions=proportions(steps),
        changed=changed_rows(steps, limit),
        gone=lost_rows(steps, questions, limit),
        unlike_training=_unlike_training(asked, compared),
        mistakes=_mistakes(graded, measured, settings.mistakes),
        artifacts=[(handle, _seconds(handle)) for handle in made if handle],
        **curation,
    )
    page.write_text(text, encoding="utf-8")
    if version:
        log_to_mlflow(VersionTold.of(version).run_id, page)
    return StepResult("report", f"{told.sentence} {told.registered}", told.written())


def _holdout(asked: Handle | None) -> dict[str, Any] | None:
    """Which rows judged the model: their files, their number and their digest."""
    if asked is None:
        return None
    return {"files": sorted(asked.frame()["source"].unique()), "rows": asked.rows, "digest": asked.digest}


def _classes(graded: pl.DataFrame, scores: Scores, answer: AnswerSettings) -> list[Any]:
    """Recall and precision by class on the holdout, where rows have labels."""
    holdout = graded.filter(pl.col("set") == "holdout")
    return by_class(holdout, answer, scores.confidence) if answer.label or scores.label_metric else []


def _curation(
    settings: ReportSettings, steps: list[Handle], answer: AnswerSettings, advice: Handle | None, review: Handle | None
) -> dict[str, Any]:
    """What people should look at; a section without anything to say is left out."""
    shown, limit = settings.doubts, settings.text_characters
    return {
        "advice": advice.facts() if advice else None,
        "review": review.facts() if review else None,
        "review_folder": review.path if review else "",
        "conflicts": contradictions(steps, answer, shown, limit),
        "labels": doubted_labels(steps, shown, limit),
    }


def _unlike_training(asked: Handle | None, compared: Handle | None) -> int:
    """How many questions of the holdout are not as training would have them, where clean and redact have been."""
    if asked is None or compared is None:
        return 0
    now, then = ({row_id: question(said) for row_id, said in _messages(rows)} for rows in (asked, compared))
    return sum(then.get(row_id) != said for row_id, said in now.items())


def _messages(rows: Handle) -> Iterator[tuple[str, list[Message]]]:
    return rows.frame().select("row_id", "messages").iter_rows()


def summary(scores: Scores, verdict: Verdict, version: Handle | None) -> ReportFacts:
    """The outcome in words, and the rows of the first table: the headline's metric first."""
    best, metric = scores.best_baseline, scores.headline
    tuned, against = scores.cell(TUNED, "holdout", metric), scores.find(best, "holdout", metric)
    holdout = [m for m in scores.metrics if m.slice == "holdout"]
    # The sentence's comes first.
    first = sorted((m for m in holdout if m.variant == TUNED), key=lambda m: m.metric != metric)
    missed = sorted((r for r in verdict.rules if r.verdict != "passed"), key=lambda r: list(WORDS).index(r.verdict))
    return ReportFacts(
        verdict=verdict.verdict,
        sentence=_sentence(scores.words_of(metric).title, tuned, against),
        registered=_registered(verdict, version, missed),
        missed=missed,
        best=best,
        confidence=f"{100 * scores.confidence:g}",
        n=max(m.n for m in holdout),
        rows=[
            HeadlineRow(
                metric=m.metric,
                title=scores.words_of(m.metric).title,
                tuned=m,
                base=scores.best("holdout", m.metric, scores.prompted),
                classical=scores.best("holdout", m.metric, scores.classical),
                champion=scores.find(CHAMPION, "holdout", m.metric),
            )
            for m in first
        ],
        champion=champion_sentence(scores),
        remark=without_model(scores),
    )


def _sentence(title: str, tuned: Measured, base: Measured | None) -> str:
    value, rival = measured_text.value(tuned), measured_text.value(base) if base else ""
    if tuned.is_number:
        told = f"The tuned model's {title} is {value} in the mean of {tuned.n:,} holdout rows"
        return f"{told}; that of the same base model, prompted, {rival}." if base else f"{told}."
    told = f"The tuned model gets {title} on {value} of {tuned.n:,} holdout rows"
    return f"{told}; the same base model, prompted, on {rival}." if base else f"{told}."


def log_to_mlflow(run_id: str, page: Path) -> None:
    """Add the page to the artifacts of a run; logging it again changes nothing.

    Raises OutsideError when MLflow does not answer, RegistrationError when it refuses, as for a run that was deleted.
    """
    client = mlflow_client.client()
    with mlflow_client.outside("take the report (the model itself is registered)"):
        client.log_artifact(run_id, str(page))


def publish(made: Handle, links: Sequence[str] = (), more: Sequence[str] = ()) -> None:
    """Put the summary and the page's place on the page of the Prefect run under way, also when it came from the cache.

    A flow calls this after the step: only then does the artifact have its final place. links: lines of Markdown that
    say where a browser finds the page, instead of its path. more: lines that follow the summary.
    """
    from prefect.artifacts import create_markdown_artifact
    from prefect.context import FlowRunContext, TaskRunContext

    if FlowRunContext.get() or TaskRunContext.get():
        told = f"{WORDS[ReportFacts.of(made).verdict]}: {made.line}"
        text = "\n".join([summary_markdown(made, links), "", *more])
        show(create_markdown_artifact, markdown=text, key="outcome", description=told)


def summary_markdown(made: Handle, links: Sequence[str] = ()) -> str:
    """The headline as Markdown, with links to the page; the path is also text, as browsers follow no link to a file."""
    facts, page = ReportFacts.of(made), made.folder / PAGE
    places = links or [f"The whole report: [{PAGE}]({page.as_uri()})", "", f"`{page}`"]
    said = filter(None, (facts.sentence, facts.champion, facts.remark, facts.registered))
    lines = [f"# {WORDS[facts.verdict]}", *said, "", *places, ""]
    lines += [f"- {rule.verdict}: {rule.rule}. {rule.why}" for rule in facts.missed]
    lines += ["", *_headline_table(facts)]
    return "\n".join(lines)


def _headline_table(facts: ReportFacts) -> list[str]:
    """As Markdown: of each metric its own best baseline, by name, and the champion where there is one."""
    shown = ["best prompted", TUNED, "prompted how"]
    shown += ["without a language model"] * any(row.classical for row in facts.rows) + [CHAMPION] * bool(facts.champion)
    lines = [f"| on the holdout | {' | '.join(shown)} |", "|---" * (1 + len(shown)) + "|"]
    for row in facts.rows:
        told = {"best prompted": _cell(row.base), TUNED: _cell(row.tuned), "prompted how": _named(row.base)}
        told["without a language model"] = f"{_cell(row.classical)} {_named(row.classical)}"
        told[CHAMPION] = _cell(row.champion)
        lines.append(f"| {row.title} | {' | '.join(told[name] for name in shown)} |")
    return lines


def _named(measured: Measured | None) -> str:
    return _variant(measured.variant) if measured else ""


def _cell(measured: Measured | None) -> str:
    if measured is None:
        return "—"
    return f"{measured_text.value(measured)} {measured_text.span(measured)}, n = {measured.n:,}"


def _registered(verdict: Verdict, version: Handle | None, missed: list[JudgedRule]) -> str:
    if version is None:
        why = f": {len(missed)} of {len(verdict.rules)} gate rules did not pass" if missed else ""
        return f"Not registered{why}."
    facts = VersionFacts.of(version)
    return f"Registered in MLflow as {facts.name}, version {facts.version}, alias {facts.alias}."


def _scores(scores: Scores) -> dict[str, Any]:
    """The scores as the page shows them: by slice, metric and variant; the sets apart from their slices; paired
    differences.
    """
    names = list(dict.fromkeys(m.metric for m in scores.metrics))
    slices = list(dict.fromkeys(m.slice for m in scores.metrics))
    sizes = {s: max(m.n for m in scores.metrics if m.slice == s) for s in slices}  # `exact` is a metric of every row
    in_sets = [m for m in scores.metrics if m.slice in SETS]
    in_slices = [m for m in scores.metrics if m.slice not in SETS and m.metric == scores.headline]
    return {
        "variants": scores.variants,
        "best_baseline": scores.best_baseline,
        "headline": scores.headline,
        "words": {name: scores.words_of(name) for name in names},
        "cells": {(m.slice, m.metric, m.variant): m for m in scores.metrics},
        "sizes": sizes,
        "repeats": {s: scores.repeats(s) for s in slices},
        "sets": [s for s in slices if s in SETS],
        "slices": [s for s in slices if s not in SETS],
        "scales": {n: measured_text.scale_of(m for m in in_sets if m.metric == n) for n in names},
        "slice_scale": measured_text.scale_of(in_slices),
        "others": [name for name in names if name != scores.headline and not scores.words_of(name).sums_up],
        "rivals": [
            (name, [d for d in scores.differences if d.baseline == name and d.slice in SETS])
            for name in filter(None, (scores.best_baseline, *scores.classical, CHAMPION))
        ],
        "classical": scores.classical,
        "cut": [(name, scores.cut[name]) for name in scores.variants if scores.cut.get(name)],
    }


def _mistakes(graded: pl.DataFrame, scores: Scores, shown: int) -> dict[str, Any]:
    found = mistakes(graded, {name: scores.words_of(name) for name in dict.fromkeys(m.metric for m in scores.metrics)})
    sizes, wrong = Counter(graded["set"]), Counter(mistake.set for mistake in found)
    kinds = Counter(mistake.failed[0] for mistake in found)
    sets = [(name, wrong[name], sizes[name]) for name in SETS if sizes[name]]
    return {"shown": found[:shown], "all": len(found), "kinds": kinds.items(), "sets": sets}


class _Took(Facts):
    """What a step of any kind may have told of its time: seconds, by part or in all; training tells it of its run."""

    seconds: float | dict[str, float] | None = None
    actual: _Took | None = None


def _seconds(handle: Handle) -> float | None:
    took = _Took.of(handle)
    seconds = took.actual.seconds if took.actual and took.seconds is None else took.seconds
    return sum(seconds.values()) if isinstance(seconds, dict) else seconds


def _variant(name: str) -> str:
    return VARIANTS.get(name, name)


def _template(scores: Scores) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: display.visible(value) if type(value) is str else value,
    )
    shown = ("percent", "count", "duration", "estimate", "size", "short", "number_of")
    environment.filters |= {name: getattr(display, name) for name in shown}
    environment.filters |= {
        "metric": lambda name: scores.words_of(name).title,
        "variant": _variant,
        "rival": lambda name: RIVALS.get(name, "the base model"),
        "fault": lambda name: scores.words_of(name).fault,
    }
    environment.filters |= {"set": lambda name: SETS.get(name, name)}
    environment.globals |= {"chart": charts, "told": measured_text, "words": WORDS, "levels": LEVELS}
    return environment.get_template(PAGE)
