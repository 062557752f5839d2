"""The environment that the `assay` command works in, set before any library reads it.

Everything is a default: a variable that is set already wins, so a team points the same command at its own servers with
PREFECT_API_URL and MLFLOW_TRACKING_URI, and keeps its own Prefect profile then.
"""

from __future__ import annotations

import os

from tasks.core.home import home
from tasks.core.process.hardware import computing_environment
from tasks.core.urls import public


def prepare() -> None:
    """Set the defaults for this process and every child of it."""
    os.environ["ASSAY_HOME"] = str(home())  # absolute, so that a child in another folder means the same one
    for name, value in {**_quiet(), **_places(), **computing_environment()}.items():
        os.environ.setdefault(name, value)
    for name in ("NO_PROXY", "no_proxy"):  # a company's proxy must not be asked for our own servers
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost")))


def own_prefect() -> bool:
    """Whether the Prefect server is ours to start: the user named none."""
    return not os.environ.get("PREFECT_API_URL")


def prefect_pages() -> str:
    """Where a browser finds Prefect. PREFECT_UI_URL says so where people come in by another door than clients."""
    return public(os.environ.get("PREFECT_UI_URL") or os.environ["PREFECT_API_URL"].removesuffix("/api"))


def own_mlflow() -> bool:
    """Whether MLflow works on a database file below ASSAY_HOME, and not on a server that the user named."""
    return os.environ.get("MLFLOW_TRACKING_URI", "") == mlflow_database()


def mlflow_database() -> str:
    return f"sqlite:///{home() / 'mlflow.db'}"


def _places() -> dict[str, str]:
    places = {"PREFECT_LOCAL_STORAGE_PATH": str(home() / "results"), "MLFLOW_TRACKING_URI": mlflow_database()}
    if own_prefect():  # a profile of another project must not reach into this run
        places |= {
            "PREFECT_HOME": str(home() / "prefect"),
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home() / 'prefect.db'}",
        }
    return places


def _quiet() -> dict[str, str]:
    """No telemetry from our defaults, no pickles, and a terminal that shows our own lines only."""
    return {
        "ASSAY_TERMINAL": "1",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",  # all we save is safetensors and JSON
        "TOKENIZERS_PARALLELISM": "false",  # else each fork warns that it was switched off
        "TQDM_DISABLE": "1",  # the libraries' bars; ours say more
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "DATASETS_VERBOSITY": "error",
    }
