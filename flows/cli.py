"""The `assay` command. Heavy libraries are imported only where they are used, so that --help answers at once."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows import environment, services
from flows.recipes import installed_recipes
from tasks.core import terminal
from tasks.core.errors import AssayError
from tasks.core.home import home_folder

REFUSED = 4  # the run went well, and the model was not good enough
INTERRUPTED = 130  # what a shell reports for Ctrl-C
NOTES = """\
exit codes   0 done, 1 error, 2 a mistake in the recipe or the command line, 3 the data broke its contract,
             4 the gate refused the model or could not tell, 130 interrupted
environment  ASSAY_HOME (default .assay); PREFECT_API_URL and MLFLOW_TRACKING_URI name servers of your own"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    environment.prepare()
    try:
        return int(arguments.run(arguments))
    except AssayError as error:
        _say_error(*error.render().split("\n", 1))
        return error.exit_code
    except KeyboardInterrupt:
        _say_error("Stopped.", "  to do:   run it again; finished steps are kept, training goes on from its checkpoint")
        return INTERRUPTED
    except Exception as error:
        with _log_file().open("a") as log:
            traceback.print_exc(file=log)
        headline = str(error).strip().split("\n")[0] or "it gave no reason"
        _say_error(f"Unexpected {type(error).__name__}: {headline}", f"  where:   the traceback is in {_log_file()}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assay", description="Raw examples in, a proven LoRA adapter in the model registry out.",
        epilog=NOTES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    recipe = f"a name ({', '.join(installed_recipes())}), or the path of a recipe or of its folder"
    for function, text in (
        (run, "curate the data, train, evaluate, pass the gate, register"),
        (curate, "curate the data only: the dataset, the ledger of every row, the quarantine"),
        (doctor, "tell what this machine has, and what would stop a run"),
        (ui, "open the Prefect and MLflow pages of this home, until Ctrl-C"),
    ):
        command = commands.add_parser(function.__name__, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(run=function)
        if function in (run, curate):
            command.add_argument("recipe", metavar="RECIPE", help=recipe)
    return parser


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    state = _flow("retrain", arguments.recipe)
    results = _results(state)
    from flows.summary import print_summary

    print_summary(results, state.name, time.monotonic() - started)
    return 0 if "version" in results else REFUSED


def curate(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    results = _results(_flow("curate", arguments.recipe))
    from flows.summary import print_curated

    print_curated(results["dataset"], arguments.recipe, time.monotonic() - started)
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    from flows.doctor import examine, print_findings

    return print_findings(examine())


def ui(arguments: argparse.Namespace) -> int:
    from flows.pages import show_pages

    show_pages()
    return 0


def _flow(name: str, recipe: str) -> Any:
    """Run the flow `name` on a server of ours, or the one the user named; returns its final state."""
    from flows.recipe import find_recipe, load_recipe

    load_recipe(recipe)  # a mistake in it shows here, in a second, before anything is started
    _start_log()
    if environment.own_prefect():
        now = datetime.now(UTC)
        server = services.join(services.PREFECT)
        os.environ["PREFECT_API_URL"] = f"{server.url}/api"
        with terminal.waiting("starting the Prefect server; the first time takes longest"):
            flow = _load(name)  # seconds of imports, while the server starts
            server.wait()
        if server.started:
            _close_runs_before(now)
    else:
        flow = _load(name)
        _ask_prefect()
    told = f"{name} {recipe}, shown at {os.environ['PREFECT_API_URL'].removesuffix('/api')}"
    terminal.console().print(told, style="bold", markup=False)
    given = recipe if recipe in installed_recipes() else str(find_recipe(recipe).resolve())
    return flow(recipe=given, return_state=True)


def _load(name: str) -> Any:
    return getattr(importlib.import_module(f"flows.{name}"), name)


def _close_runs_before(started: datetime) -> None:
    """Nobody used the server until `started`, so what it takes for running since before was killed: let its page say so."""
    from prefect import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=running):
            if run.start_time and run.start_time < started:
                client.set_flow_run_state(run.id, Crashed(message="Its process was killed."), force=True)


def _ask_prefect() -> None:
    """Raise AssayError unless the server that the user named answers."""
    from prefect import get_client

    with get_client(sync_client=True) as client:
        if error := client.api_healthcheck():
            raise AssayError(
                f"The Prefect server does not answer: {error}", where=f"PREFECT_API_URL={os.environ['PREFECT_API_URL']}",
                todo="start it, correct the address, or unset PREFECT_API_URL to use a server of our own",
            )  # fmt: skip


def _results(state: Any) -> dict[str, Any]:
    """The handles a flow returned; raises what stopped it."""
    results = state.result(raise_on_failure=False)
    if isinstance(results, BaseException):
        raise results
    return dict(results)


def _log_file() -> Path:
    return home_folder("logs") / "assay.log"


def _start_log() -> None:
    """Send every library's words to a file. Prefect finds this handler and leaves its own console handler out."""
    handler = logging.FileHandler(_log_file(), mode="a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)


def _say_error(headline: str, rest: str = "") -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(headline, style="bold red", markup=False)
    if rest:
        console.print(rest, markup=False)


if __name__ == "__main__":
    sys.exit(main())
