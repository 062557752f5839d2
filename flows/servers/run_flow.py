"""Start a flow as the command does: on a server of our own that is up for the run, or on the one the user named."""

from __future__ import annotations

import logging
import os
import pkgutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.recipes import installed_recipes
from flows.servers import embedded, environment
from tasks.core.errors import AssayError
from tasks.core.home import home_folder
from tasks.core.process import terminal


def run_flow(where: str, recipe: str, settings: Sequence[str] = ()) -> Any:
    """Run the flow that `where` names on a recipe; returns its final state. settings: keys to set
    in it, as KEY=VALUE.
    """
    from flows.overrides import assigned
    from flows.recipe import find_recipe, load_recipe

    load_recipe(recipe, assigned(settings))  # a mistake in it shows here, in a second, before anything is started
    given: dict[str, Any]
    given = {"recipe": recipe} if recipe in installed_recipes() else {"recipe_path": str(find_recipe(recipe).resolve())}
    given |= {"settings": list(settings)} if settings else {}
    return run_with(where, recipe, **given)


def run_with(where: str, on: str, **parameters: Any) -> Any:
    """Run a flow on a server of ours, or the one the user named; returns its final state.

    where: its module and its name, as module:name. on: what it works on, in a word, for the terminal.
    """
    start_log()
    if environment.own_prefect():
        now = datetime.now(UTC)
        server = embedded.join(embedded.PREFECT)
        os.environ["PREFECT_API_URL"] = f"{server.url}/api"
        with terminal.waiting("starting the Prefect server; the first time takes longest"):
            flow = load(where)  # seconds of imports, while the server starts
            server.wait()
        if server.started:
            _close_runs_before(now)
    else:
        flow = load(where)
        ask_prefect()
    told = f"{where.rpartition(':')[2]} {on}, shown at {environment.prefect_pages()}"
    terminal.console().print(told, style="bold", markup=False)
    return flow(**parameters, return_state=True)


def load(where: str) -> Any:
    """The flow that `where` names as module:name, with all that it imports."""
    return pkgutil.resolve_name(where)


def _close_runs_before(started: datetime) -> None:
    """Nobody used the server until `started`, so what it takes for running since before was killed: let its page say
    so.
    """
    from prefect import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    from flows.run.final_states import KILLED

    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=running):
            if run.start_time and run.start_time < started:
                client.set_flow_run_state(run.id, Crashed(message=KILLED), force=True)


def ask_prefect() -> None:
    """Raise AssayError unless the server that the user named answers, and to us."""
    import httpx
    from prefect import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    where = f"PREFECT_API_URL={os.environ['PREFECT_API_URL']}"
    with get_client(sync_client=True) as client:
        if error := client.api_healthcheck():
            status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 0
            wrong = (
                f"says {status} when asked how it is; it may be something else"
                if status
                else f"does not answer: {error}"
            )
            raise AssayError(
                f"The Prefect server {wrong}",
                where=where,
                todo="start it, correct the address, or unset PREFECT_API_URL to use a server of our own",
            )
        try:
            client.read_work_pools(limit=1)  # the health check needs no password
        except PrefectHTTPStatusError as refused:
            if refused.response.status_code not in (401, 403):
                raise
            raise AssayError(
                "The Prefect server does not let us in.",
                where=where,
                todo="set PREFECT_API_AUTH_STRING=user:password, as the server has it in "
                "PREFECT_SERVER_API_AUTH_STRING",
            ) from refused


def results_of(state: Any) -> dict[str, Any]:
    """The handles a flow returned; raises what stopped it."""
    results = state.result(raise_on_failure=False)
    if isinstance(results, BaseException):
        raise results
    return dict(results)


def log_file() -> Path:
    """Where the words of every library go, and tracebacks."""
    return home_folder("logs") / "assay.log"


def start_log() -> None:
    """Send every library's words to a file. Prefect finds this handler and leaves its own console handler out."""
    handler = logging.FileHandler(log_file(), mode="a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
