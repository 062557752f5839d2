"""`assay ui`: the Prefect and MLflow pages over this home's databases, up until Ctrl-C."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
from collections.abc import Sequence

from flows.servers import embedded, environment
from tasks.core.process import terminal
from tasks.core.urls import public

NEWEST = "/api/2.0/mlflow/registered-models/search?max_results=1&order_by=last_updated_timestamp%20DESC"


def show_pages() -> None:
    """Start what is ours, print both addresses, and return on Ctrl-C. Raises AssayError when a server fails."""
    own = {embedded.PREFECT: environment.own_prefect(), embedded.MLFLOW: environment.own_mlflow()}
    servers = [embedded.join(service) for service, ours in own.items() if ours]
    try:
        with terminal.waiting("starting the pages"):
            for server in servers:
                server.wait()
        _print(servers)
        _hold(servers)
    except KeyboardInterrupt:
        terminal.console().print("\n  stopped")


def _print(servers: Sequence[embedded.Server]) -> None:
    addresses = {
        "Prefect": public(os.environ.get("PREFECT_API_URL", "").removesuffix("/api")),
        "MLflow": public(os.environ["MLFLOW_TRACKING_URI"]),
        **{server.service.title: server.url + _landing(server) for server in servers},
    }
    for title, address in addresses.items():
        terminal.console().print(f"  [bold]{title:<9}[/][underline]{address}[/]")
    terminal.console().print("  [dim]Ctrl-C stops the pages; runs under way keep what they need[/]")


def _landing(server: embedded.Server) -> str:
    """Where to enter: MLflow's own front page is about LLM traces, so go to the model that was registered last."""
    if server.service is embedded.PREFECT:
        return "/runs"
    found = json.loads(embedded.get(server.url + NEWEST) or "{}").get("registered_models", [])
    return f"/#/models/{urllib.parse.quote(found[0]['name'])}" if found else "/#/experiments"


def _hold(servers: Sequence[embedded.Server]) -> None:
    while True:
        for server in servers:
            if not server.alive():
                raise server.failure("ended")
        time.sleep(1)
