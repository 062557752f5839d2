"""The last words of a run: what became of the rows, how good the model is, what was registered, what to type next.

Everything is read from the handles' facts; nothing is computed here. Lines are never wrapped, so that a path or a
command can be copied whole.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from flows.servers.environment import own_mlflow
from tasks.core.handle import Handle
from tasks.core.home import home
from tasks.core.process import terminal
from tasks.core.text.display import number_of
from tasks.core.variants import TUNED
from tasks.facts.dataset import DatasetFacts
from tasks.facts.review import ReviewFacts
from tasks.facts.scores import Scores
from tasks.facts.verdict import Verdict
from tasks.facts.version import VersionFacts
from tasks.reporting.beside_model import champion_sentence, without_model

REASONS = 8  # of each kind; the report has them all
COLOURS = {"passed": "green", "refused": "red", "undecided": "yellow"}
SERVING_PORT = 5001  # 5000 is MLflow's own, and a Mac's AirPlay sits on it


def print_summary(results: Mapping[str, Handle], state_name: str, seconds: float) -> None:
    """Print the closing lines of `assay run`.

    results: handles by name: dataset, scores, verdict, report, and version unless the gate refused it; others are left
    out. state_name: the flow's final state. seconds: of the whole command.
    """
    version = VersionFacts.of(results["version"]) if "version" in results else None
    print()
    _rows(DatasetFacts.of(results["dataset"]))
    _scores(Scores.of(results["scores"]))
    _verdict(Verdict.of(results["verdict"]))
    _line(
        "model", _registered(version) if version else f"not registered, for the gate's verdict is {state_name.lower()}"
    )
    _line("report", shown(results["report"].folder / "report.html"))
    _line("time", _time(seconds))
    _next(f"{command('assay')} ui", *([_serve(version)] if version else []))


def print_curated(results: Mapping[str, Handle], asked: Sequence[str], trainable: bool, seconds: float) -> None:
    """Print the closing lines of `assay curate`: the rows, where they lie, and what a person should look at.

    results: handles by name: dataset and review; others are left out. asked: the recipe and what was set in it, as
    words of the command. trainable: `assay run` would train on these rows.
    """
    dataset, sheet = results["dataset"], results["review"]
    print()
    _rows(DatasetFacts.of(dataset))
    for name in ("curated", "ledger", "quarantine"):
        _line(name, shown(dataset.folder / f"{name}.parquet"))
    _line("review", shown(sheet.folder / "review.csv"))
    left = ReviewFacts.of(sheet)
    minutes = number_of(max(1, round(left.minutes)), "minute")
    _line("", f"{number_of(left.rows, 'row')}, about {minutes}" if left.rows else "no rows to review", "dim")
    _line("time", _time(seconds))
    then = f"{command('assay')} run {shlex.join(asked)}"
    if not trainable:
        then = f"{command('assay')} export {shlex.quote(asked[0])} --format trl --out pairs"
    _next(then, f"{command('assay')} ui")


def print_watched(results: Mapping[str, Any]) -> None:
    """Print what `assay watch` found: a line a comparison, and what came of it.

    results: state (how the run of watch ended), line (in a sentence), table (see tasks/monitoring/compare.py).
    """
    print()
    for row in results["table"]:
        sides = " -> ".join(row[side] for side in ("snapshot", "new rows") if row.get(side))
        tested = f"{row['test']} {row['statistic']}, p {row['p-value']}" if row.get("test") else ""
        told = [sides, tested, f"effect {row['effect']}" if row.get("effect") else "", row["result"]]
        _line("compared", f"{row['compared']}: {'; '.join(filter(None, told))}")
    _line(results["state"].lower(), results["line"])


def command(name: str) -> str:
    """An installed command as it must be typed here: by its bare name only if the shell would find this very one."""
    return name if _found(name) else shown(Path(sys.executable).parent / name)


def _found(name: str) -> bool:
    """Whether the shell finds the command of this very environment."""
    return shutil.which(name) == str(Path(sys.executable).parent / name)


def shown(path: Path) -> str:
    """A path as short as it can be typed: relative where it lies below the working directory."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _line(label: str, text: str, style: str = "") -> None:
    terminal.console().print(f"  [bold]{label:<11}[/]{escape(text)}", style=style)


def _rows(facts: DatasetFacts) -> None:
    _line("rows", "{raw:,} in: {kept:,} kept, {dropped:,} dropped, {quarantined:,} quarantined".format(**facts.totals))
    for action in ("dropped", "quarantined"):
        reasons = list(facts.reasons.get(action, {}).items())
        shown_reasons, rest = reasons[:REASONS], reasons[REASONS:]
        if rest:
            shown_reasons.append((f"{len(rest)} more reason{'s' * (len(rest) > 1)}", sum(rows for _, rows in rest)))
        for reason, rows in shown_reasons:
            _line("", f"{action:<12}{rows:>7,}  {reason}", "dim")


def _scores(scores: Scores) -> None:
    """Each metric on the whole holdout: the prompted baseline that is best by it, the tuned model, the paired
    difference; then what needs no language model, and the champion.
    """
    holdout = {(m.variant, m.metric): m for m in scores.metrics if m.slice == "holdout"}
    metrics = list(dict.fromkeys(metric for _, metric in holdout))
    rows = f"{max(m.n for m in holdout.values()):,} rows{scores.repeats('holdout')}"
    _line("holdout", f"{rows}, intervals of {scores.confidence:.0%}")
    wide = max(16, 1 + max(map(len, metrics)))
    _line("", f"{'':<{wide}}{'base, prompted':<30}{'tuned':<19}difference", "dim")
    for metric in metrics:
        base, tuned = scores.best("holdout", metric, scores.prompted), holdout[TUNED, metric].text()
        difference = scores.against(base.variant, "holdout", metric) if base else None
        shown_base = f"{base.text()} {base.variant}" if base else "-"
        _line("", f"{metric:<{wide}}{shown_base:<29} {tuned:<18} {difference.text() if difference else '-'}")
    _beside(scores)


def _beside(scores: Scores) -> None:
    """What the tuned model is held against beside the base model."""
    metric = scores.label_metric
    plain = [scores.find(name, "holdout", metric) for name in scores.classical] if metric else []
    if told := ", ".join(f"{m.text()} {m.variant}" for m in plain if m):
        _line("no model", f"{metric} {told}")
    if remark := without_model(scores):
        _line("", remark, "yellow")
    if champion := champion_sentence(scores):
        _line("champion", champion)


def _verdict(facts: Verdict) -> None:
    rules, verdict = facts.rules, facts.verdict
    passed = sum(rule.verdict == "passed" for rule in rules)
    _line("gate", f"{verdict}: {passed} of {len(rules)} rules hold", COLOURS[verdict])
    for rule in rules:
        if rule.verdict != "passed":
            _line("", f"{rule.verdict}: {rule.rule}: {rule.why}", COLOURS[rule.verdict])
        elif rule.remark:
            _line("", f"{rule.rule}: {rule.remark}", "yellow")


def _registered(version: VersionFacts) -> str:
    return f"{version.name}, version {version.version}, alias {version.alias}"


def _serve(version: VersionFacts) -> str:
    words = ["mlflow", "models", "serve", "-m", f"models:/{version.name}@{version.alias}"]
    line = shlex.join([*words, "--env-manager", "local", "-p", str(SERVING_PORT)])
    # All that another shell does not know. MLflow starts uvicorn by its bare name.
    if own_mlflow():
        line = f"MLFLOW_TRACKING_URI={shlex.quote(os.environ['MLFLOW_TRACKING_URI'])} {line}"
    path = shlex.quote(str(Path(sys.executable).parent))
    return f"PATH={path}:$PATH ASSAY_HOME={shlex.quote(str(home()))} {line}"


def _time(seconds: float) -> str:
    took = f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    return took if terminal.computed else f"{took}; nothing changed: nothing was trained, nothing was registered"


def _next(*commands: str) -> None:
    print()
    for i, line in enumerate(commands):
        _line("" if i else "next", line, "cyan")
