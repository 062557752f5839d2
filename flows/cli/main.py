"""The `assay` command. Heavy libraries are imported only where they are used, so that --help answers at once."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flows.cli.model_commands import register_model_commands
from flows.recipes import FILE, installed_recipes
from flows.servers import environment, run_flow
from tasks.core.errors import AssayError
from tasks.core.row_kind import KINDS, SFT

REFUSED = 4  # the run went well, and the model was not good enough
RUN = "newest, previous, a run's name, the first digits of a dataset's digest, or its folder"
SETTING = """set any key of the recipe for this run, such as train.epochs=2 or gate.rules.0.at_least=0.9 (the first rule
is 0); the value is read as YAML; may be given again for another key"""
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
        with run_flow.log_file().open("a") as log:
            traceback.print_exc(file=log)
        headline = str(error).strip().split("\n")[0] or "it gave no reason"
        _say_error(
            f"Unexpected {type(error).__name__}: {headline}", f"  where:   the traceback is in {run_flow.log_file()}"
        )
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assay",
        description="Raw examples in, a proven LoRA adapter in the model registry out.",
        epilog=NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    kind = f"what its rows are (default {SFT.name})"
    recipe = f"a name ({', '.join(installed_recipes())}), or the path of a recipe or of its folder"
    for command in (
        _command(commands, run, "curate the data, train, evaluate, pass the gate, register"),
        _command(commands, curate, "curate the data only: the dataset, the ledger of every row, the review sheet"),
    ):
        command.add_argument("recipe", metavar="RECIPE", help=recipe)
        command.add_argument("--set", dest="settings", metavar="KEY=VALUE", action="append", default=[], help=SETTING)
    command = _command(
        commands, watch, "look for rows that the champion has not learnt from; retrain if the recipe says so"
    )
    command.add_argument("recipe", metavar="RECIPE", help=recipe)
    command = _command(
        commands, show_why, "tell one row's story: where from, what each step did with it, and why", "why"
    )
    command.add_argument("row", metavar="ROW_ID", help="a row's id, or its first characters")
    command.add_argument("--run", dest="dataset", metavar="RUN", default="", help=f"{RUN}; the newest if left out")
    command = _command(
        commands, show_diff, "tell what changed between two runs: rows added, gone, changed, by reason", "diff"
    )
    command.add_argument("before", metavar="RUN_A", help=RUN)
    command.add_argument("after", metavar="RUN_B", help="another")
    review = commands.add_parser("review", help="take in a review sheet that people filled in")
    command = _command(
        _parts(review), review_apply, "take in a review sheet's decisions; the next run honours them", "apply"
    )
    command.add_argument("sheet", metavar="SHEET", type=Path, help="review.csv or review.jsonl, filled in")
    command.add_argument("--reviewer", metavar="NAME", required=True, help="who decided; stands in the ledger")
    command.add_argument("--recipe", metavar="RECIPE", required=True, help=recipe)
    contract = commands.add_parser("contract", help="draft a data contract")
    command = _command(_parts(contract), contract_suggest, "print a contract that holds for this data today", "suggest")
    command.add_argument("data", metavar="DATA", help="a recipe, whose curated data is meant; or a file of rows")
    command.add_argument("--kind", choices=KINDS, default=SFT.name, help=f"of a file: {kind}")
    command = _command(commands, export, "write a curated dataset in another format")
    command.add_argument("data", metavar="DATA", help="a recipe, which is curated first; or a curated.parquet")
    command.add_argument(
        "--format",
        metavar="FORMAT",
        choices=_WritableFormats(),
        required=True,
        help="what to write it for: %(choices)s",
    )
    command.add_argument("--out", metavar="PATH", type=Path, required=True, help="the folder to write, a file a split")
    command.add_argument("--kind", choices=KINDS, default=SFT.name, help=f"of a curated.parquet: {kind}")
    register_model_commands(commands, _command)
    command = _command(commands, show_settings, "list every key of a recipe, its default and why", "settings")
    command.add_argument("section", metavar="SECTION", nargs="?", default="", help="of the recipe; all if left out")
    _command(commands, deploy, "put the deployments and automations of infra/ on the server of PREFECT_API_URL")
    command = _command(commands, doctor, "tell what this machine has, and what would stop a run")
    command.add_argument(
        "--stack", action="store_true", help="tell how each service of `make stack` is, and where its log is"
    )
    _command(commands, ui, "open the Prefect and MLflow pages of this home, until Ctrl-C")
    return parser


class _WritableFormats:
    """The names of the formats that can be written, imported only when `export` is asked for."""

    def __iter__(self) -> Iterator[str]:
        from tasks.data.formats.catalog import writable

        return iter(writable())


def _command(commands: Any, function: Callable[..., int], text: str, name: str = "") -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name or function.__name__, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    command.set_defaults(run=function)
    return command


def _parts(parser: argparse.ArgumentParser) -> Any:
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    state = run_flow.run_flow("flows.retrain:retrain", arguments.recipe, arguments.settings)
    results = run_flow.results_of(state)
    from flows.cli.summary import print_summary

    print_summary(results, state.name, time.monotonic() - started)
    return 0 if "version" in results else REFUSED


def curate(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    results = _curated(arguments.recipe, arguments.settings)
    from flows.cli.summary import print_curated
    from flows.overrides import assigned
    from flows.recipe import load_recipe

    asked = [arguments.recipe, *(word for setting in arguments.settings for word in ("--set", setting))]
    plan = load_recipe(arguments.recipe, assigned(arguments.settings))
    print_curated(results, asked, plan.is_trainable, time.monotonic() - started)
    return 0


def watch(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    results = run_flow.results_of(run_flow.run_flow("flows.watch:watch", arguments.recipe))
    from flows.cli.summary import print_summary, print_watched

    print_watched(results)
    if "retrain" not in results:
        return 0
    print_summary(results["retrain"], results["ended"], time.monotonic() - started)
    return 0 if "version" in results["retrain"] else REFUSED


def show_why(arguments: argparse.Namespace) -> int:
    from flows.cli.why import tell, why

    print(tell(why(arguments.row, arguments.dataset)))
    return 0


def show_diff(arguments: argparse.Namespace) -> int:
    from flows.cli.diff import diff, tell

    print(tell(diff(arguments.before, arguments.after)))
    return 0


def review_apply(arguments: argparse.Namespace) -> int:
    from flows.cli.review_apply import apply, print_applied
    from flows.recipe import load_recipe

    recipe = load_recipe(arguments.recipe)
    print_applied(apply(arguments.sheet, arguments.reviewer, recipe.decisions_file, recipe.redact), arguments.recipe)
    return 0


def contract_suggest(arguments: argparse.Namespace) -> int:
    from flows.cli.contract_suggest import suggest_for_dataset, suggest_for_file
    from flows.recipe import load_recipe

    if _is_recipe(arguments.data):
        with contextlib.redirect_stdout(sys.stderr):  # standard output is the contract and nothing else
            dataset = _curated(arguments.data)["dataset"]
        print(suggest_for_dataset(load_recipe(arguments.data), dataset), end="")
    else:
        print(suggest_for_file(arguments.data, arguments.kind), end="")
    return 0


def export(arguments: argparse.Namespace) -> int:
    from flows.cli.export_dataset import export_file, export_recipe

    if _is_recipe(arguments.data):
        export_recipe(arguments.data, _curated(arguments.data)["dataset"], arguments.format, arguments.out)
    else:
        export_file(Path(arguments.data), arguments.kind, arguments.format, arguments.out)
    return 0


def _curated(recipe: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    return run_flow.results_of(run_flow.run_flow("flows.curate:curate", recipe, settings))


def _is_recipe(data: str) -> bool:
    """Whether DATA names a recipe: by its name, its folder or its YAML file."""
    path = Path(data).expanduser()
    return data in installed_recipes() or path.suffix in (".yaml", ".yml") or (path / FILE).is_file()


def show_settings(arguments: argparse.Namespace) -> int:
    from flows.cli.settings_page import settings_page

    print(settings_page(arguments.section), end="")
    return 0


def deploy(arguments: argparse.Namespace) -> int:
    from flows.servers.deploy import print_applied

    print_applied()
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    from flows.cli.doctor import examine, examine_stack, print_findings

    if arguments.stack:
        return print_findings(examine_stack(), "are not well", "Everything is up.")
    return print_findings(examine())


def ui(arguments: argparse.Namespace) -> int:
    from flows.cli.ui import show_pages

    show_pages()
    return 0


def _say_error(headline: str, rest: str = "") -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(headline, style="bold red", markup=False)
    if rest:
        console.print(rest, markup=False)


if __name__ == "__main__":
    sys.exit(main())
