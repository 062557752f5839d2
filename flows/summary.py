"""The last words of a run: what became of the rows, how good the model is, what was registered, what to type next.

Everything is read from the handles' facts; nothing is computed here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from flows.environment import own_mlflow
from tasks.core import terminal
from tasks.core.handle import Handle

REASONS = 6  # of each kind; the report has them all
COLOURS = {"passed": "green", "refused": "red", "undecided": "yellow"}
SERVING_PORT = 5001  # 5000 is MLflow's own, and taken by AirPlay on a Mac


def print_summary(results: Mapping[str, Handle], state_name: str, seconds: float) -> None:
    """Print the closing lines of `assay run`.

    results: handles by name: dataset, contract, training, scores, verdict, report, and version unless it was refused.
    state_name: the flow's final state. seconds: of the whole command.
    """
    facts = {name: handle.facts() for name, handle in results.items()}
    grid = _grid()
    _rows(grid, facts["dataset"])
    grid.add_row("holdout", _comparison(facts["scores"]))
    _gate(grid, facts["verdict"])
    version = facts.get("version")
    grid.add_row("model", _model(version) if version else f"not registered: the gate says {state_name.lower()}")
    grid.add_row("report", f"[underline]{shown(results['report'].folder / 'report.html')}[/]")
    grid.add_row("", "")
    grid.add_row("time", _time(seconds))
    serve = [_serve(version)] if version else []
    _next(grid, [f"{command('assay')} ui", *serve])
    terminal.console().print(grid)


def print_curated(dataset: Handle, recipe: str, seconds: float) -> None:
    """Print the closing lines of `assay curate`: the rows, and where they lie."""
    grid = _grid()
    _rows(grid, dataset.facts())
    for name in ("curated.parquet", "ledger.parquet", "quarantine.parquet"):
        grid.add_row(name.removesuffix(".parquet"), shown(dataset.folder / name))
    grid.add_row("time", _time(seconds))
    _next(grid, [f"{command('assay')} run {shlex.quote(recipe)}", f"{command('assay')} ui"])
    terminal.console().print(grid)


def command(name: str) -> str:
    """An installed command as it must be typed here: its bare name only if the shell would find this very one."""
    own = Path(sys.executable).parent / name
    return name if shutil.which(name) == str(own) or not own.exists() else shown(own)


def shown(path: Path) -> str:
    """A path as short as it can be typed: relative where it lies below the working directory."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", width=9)
    grid.add_column(overflow="fold")
    grid.add_row("", "")
    return grid


def _rows(grid: Table, facts: Mapping[str, Any]) -> None:
    gone = f"{facts['dropped']:,} dropped, {facts['quarantined']:,} quarantined"
    grid.add_row("rows", f"[bold]{facts['raw']:,}[/] in: [bold]{facts['kept']:,}[/] kept, {gone}")
    for action in ("dropped", "quarantined"):
        reasons = sorted(facts["reasons"].get(action, {}).items(), key=lambda item: (-item[1], item[0]))
        for reason, rows in reasons[:REASONS]:
            grid.add_row("", f"[dim]{action:<11} {rows:>6,}  {escape(reason)}[/]")
        if rest := reasons[REASONS:]:
            grid.add_row("", f"[dim]{action:<11} {sum(n for _, n in rest):>6,}  for {len(rest)} more reasons[/]")


def _comparison(scores: Mapping[str, Any]) -> Table:
    """Each metric on the whole holdout: the best prompted baseline, the tuned model, the paired difference."""
    best = scores["best_baseline"]
    metrics = {(m["variant"], m["metric"]): m for m in scores["metrics"] if m["slice"] == "holdout"}
    gains = {d["metric"]: d for d in scores["differences"] if d["slice"] == "holdout" and d["baseline"] == best}
    names = list(dict.fromkeys(metric for _, metric in metrics))
    rows = max((m["n"] for m in metrics.values()), default=0)
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(f"{rows:,} rows, {scores['confidence']:.0%} intervals")
    for title in (f"base, {best.replace('_', '-')}", "tuned", "difference"):
        table.add_column(title, justify="right")
    for name in names:
        base, tuned, gain = metrics.get((best, name)), metrics.get(("tuned", name)), gains.get(name)
        cells = _share(base, "value"), f"[bold]{_share(tuned, 'value')}[/]", _share(gain, "difference", "+")
        table.add_row(name.replace("_", " "), *cells)
    return table


def _share(measured: Mapping[str, Any] | None, key: str, sign: str = "") -> str:
    if measured is None:
        return "-"
    return f"{measured[key]:{sign}.1%} [dim]\\[{measured['low']:{sign}.1%}, {measured['high']:{sign}.1%}][/]"


def _gate(grid: Table, facts: Mapping[str, Any]) -> None:
    verdict = facts["verdict"]
    grid.add_row("gate", f"[bold {COLOURS[verdict]}]{verdict}[/]: {_held(facts['rules'])}")
    for rule in facts["rules"]:
        if rule["verdict"] != "passed":
            verdict = f"[{COLOURS[rule['verdict']]}]{rule['verdict']}[/]"
            grid.add_row("", f"{verdict}: {escape(rule['rule'])}: {escape(rule['why'])}")


def _held(rules: list[Mapping[str, Any]]) -> str:
    passed = sum(rule["verdict"] == "passed" for rule in rules)
    return f"{passed} of {len(rules)} rules hold"


def _model(version: Mapping[str, Any]) -> str:
    return f"[bold]{escape(version['name'])}[/], version {version['version']}, alias [bold]{version['alias']}[/]"


def _serve(version: Mapping[str, Any]) -> str:
    tracking = f"MLFLOW_TRACKING_URI={shlex.quote(os.environ['MLFLOW_TRACKING_URI'])} " if own_mlflow() else ""
    model = shlex.quote(f"models:/{version['name']}@{version['alias']}")
    return f"{tracking}{command('mlflow')} models serve -m {model} --env-manager local -p {SERVING_PORT}"


def _time(seconds: float) -> str:
    took = f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    if terminal.computed:
        return took
    return f"{took}; [green]nothing changed[/], so nothing was trained and nothing was registered"


def _next(grid: Table, commands: list[str]) -> None:
    for i, line in enumerate(commands):
        grid.add_row("" if i else "next", f"[cyan]{escape(line)}[/]")
