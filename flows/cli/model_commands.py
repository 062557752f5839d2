"""The commands on registered models: promote, rollback, reconcile, score. Each runs its flow and
prints how it ended.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.run import LONGEST_REASON
from flows.servers import run_flow
from tasks.core.process import terminal
from tasks.core.text.user_input import typed_source

REFUSED = (
    4  # as for a gate that does not pass: the command went well, and the model was not good enough or not approved
)
ENDED_WELL = ("Promoted", "Rolled back", "Recorded", "Completed")  # the names of final states

Command = Callable[..., argparse.ArgumentParser]


def register_model_commands(commands: Any, command: Command) -> None:
    """Add the commands. command: adds one: (commands, function, its help) -> its parser."""
    model = "the registered model's name in MLflow"
    parser = command(commands, promote, "make a version that passed its gate champion, once it is approved")
    parser.add_argument("model", metavar="MODEL", help=model)
    parser.add_argument("--version", metavar="N", type=int, default=0, help="the version; the challenger if left out")
    parser.add_argument("--approve", action="store_true", help="approve it; else its tag `approval` in MLflow must")
    parser.add_argument(
        "--reason", metavar="TEXT", type=_reason, default="", help="why; stands in the promotion ledger"
    )
    parser = command(commands, rollback, "make the champion before this one champion again")
    parser.add_argument("model", metavar="MODEL", help=model)
    parser.add_argument("--reason", metavar="TEXT", type=_needed_reason, required=True, help="why; it is recorded")
    parser = command(
        commands, reconcile, "record what was moved by hand in MLflow; flag a champion that never passed its gate"
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", default="", help=f"{model}; every one if left out")
    parser = command(commands, score, "answer every row of a file with a registered model")
    parser.add_argument("model", metavar="MODEL", help=model)
    parser.add_argument(
        "data", metavar="DATA", help="a file, a glob, a URL or env:NAME, in any format that a recipe reads"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="what to write: .parquet or .jsonl")
    parser.add_argument("--alias", metavar="ALIAS", default="champion", help="which version answers (default champion)")


def _reason(text: str) -> str:
    if len(text) > LONGEST_REASON:
        raise argparse.ArgumentTypeError(f"a reason has at most {LONGEST_REASON} characters; this one has {len(text)}")
    return text.strip()


def _needed_reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a rollback needs a reason; this one is empty")
    return _reason(text)


def promote(arguments: argparse.Namespace) -> int:
    return _run(
        "flows.promote:promote",
        model=arguments.model,
        version=arguments.version,
        approve=arguments.approve,
        reason=arguments.reason,
    )


def rollback(arguments: argparse.Namespace) -> int:
    return _run("flows.rollback:rollback", model=arguments.model, reason=arguments.reason)


def reconcile(arguments: argparse.Namespace) -> int:
    return _run("flows.reconcile:reconcile", model=arguments.model)


def score(arguments: argparse.Namespace) -> int:
    out = str(arguments.out.expanduser().absolute())
    data = typed_source(arguments.data, "DATA")  # here too: Prefect would keep a key with the run that refuses it
    return _run("flows.score:score", model=arguments.model, data=data, out=out, alias=arguments.alias)


def _run(where: str, **parameters: Any) -> int:
    """Run the flow, print its last words, and give back the exit code; an error that stopped it is raised."""
    state = run_flow.run_with(where, parameters["model"] or "every model", **parameters)
    results = run_flow.results_of(state)
    well = state.name in ENDED_WELL
    style = "green" if well else "yellow"
    print()
    terminal.console().print(f"  {state.name}", style=f"bold {style}", markup=False)
    for line in results["line"].splitlines():
        terminal.console().print(f"  {line}", markup=False)
    return 0 if well else REFUSED
