"""The command: quick to answer, an exit code for each end, and never a traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.servers import environment, run_flow
from tasks.core.errors import AssayError, ContractError, RecipeError

ASSAY = [sys.executable, "-m", "assay"]
FLOW = """
import sys
from flows.cli import main, summary
from flows.servers import run_flow

def load(name):  # imports Prefect only once the environment is set, as the real flows do
    from prefect import flow, get_run_logger, task
    from prefect.states import Completed

    @task
    def step(n: int) -> int:
        get_run_logger().info("step %d", n)
        return n

    @flow(name="throwaway")
    def throwaway(recipe: str = "", recipe_path: str = "") -> object:
        for n in range(5):
            step(n)
        return Completed(name="Refused", data={})

    return throwaway

summary.print_summary = lambda results, state, seconds: print("state", state)
run_flow.load = load
sys.exit(main.main(["run", "support_triage"]))
"""


def assay(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ASSAY, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )


def test_help_imports_no_library_that_takes_long() -> None:
    code = "import sys; from flows.cli import main\ntry: main.main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "run" in done.stdout
    assert not {"torch", "polars", "prefect", "mlflow", "pandas", "transformers"} & set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["run"], ["rnu", "x"], []])
def test_a_slip_on_the_command_line_exits_with_2_and_names_the_choices(arguments: list[str]) -> None:
    done = assay(*arguments)
    assert done.returncode == 2
    assert "usage: assay" in done.stderr


def test_an_unknown_recipe_exits_with_2_names_the_nearest_and_starts_nothing(home: Path) -> None:
    done = assay("run", "suport_triage")
    assert done.returncode == 2
    assert "did you mean 'support_triage'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(home.iterdir()) == []


def test_a_home_that_cannot_be_written_exits_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("not a folder")
    done = assay("run", "support_triage", ASSAY_HOME=str(file / "home"))
    assert done.returncode == 1
    assert "The home folder cannot be written" in done.stderr
    assert "set ASSAY_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prefect_server_of_the_users_that_does_not_answer_is_told_by_its_variable() -> None:
    done = assay("curate", "support_triage", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert "PREFECT_API_URL=http://127.0.0.1:9/api" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_of_another_kind_at_the_prefect_servers_address_is_told_in_a_line() -> None:
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = assay("deploy", PREFECT_API_URL=f"http://127.0.0.1:{server.server_port}/api")
    server.shutdown()
    server.server_close()
    told = "The Prefect server says 404 when asked how it is; it may be something else"
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, told)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, prefect: None, as_it_was: None) -> Any:
    """Run `assay run` on a throwaway flow whose body is given; returns the exit code."""
    from prefect import flow, settings

    monkeypatch.setenv("PREFECT_API_URL", settings.PREFECT_API_URL.value())

    def end(body: Any) -> int:
        @flow(name="throwaway")
        def throwaway(recipe: str) -> Any:
            return body()

        monkeypatch.setattr(run_flow, "load", lambda name: throwaway)
        return main.main(["run", "support_triage"])

    return end


def raising(error: BaseException) -> Any:
    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AssayError("No."), 1),
        (RecipeError("No."), 2),
        (ContractError("No.", todo="mend it"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code_and_no_traceback(
    ends: Any, error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(raising(error)) == code
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "to do:" in told or code in (1, 2)


def test_an_unexpected_error_is_told_in_a_line_and_its_traceback_is_in_the_log(
    ends: Any, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(lambda: 1 / 0) == 1
    told = capsys.readouterr().err
    log = home / "logs" / "assay.log"
    assert "Unexpected ZeroDivisionError: division by zero" in told
    assert str(log) in told
    assert "Traceback" not in told
    assert "Traceback" in log.read_text()


def test_markup_in_an_error_is_shown_as_it_is(ends: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(raising(AssayError("The key [bold]x[/] is wrong."))) == 1
    assert "The key [bold]x[/] is wrong." in capsys.readouterr().err


def test_a_run_on_the_embedded_server_shows_only_our_lines_and_loses_no_record_when_the_server_stops(
    home: Path,
) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    done = subprocess.run([sys.executable, "-c", FLOW], capture_output=True, text=True, env=clean, timeout=150)
    assert done.returncode == main.REFUSED, done.stderr
    assert done.stderr == ""
    assert "throwaway" not in done.stdout
    assert done.stdout.splitlines()[-1] == "state Refused"
    deadline = time.monotonic() + 20  # the server writes its last events while it stops
    while (told := _recorded(home)) != (["Refused"], 5, 5) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert told == (["Refused"], 5, 5)
    assert "Beginning flow run" in (home / "logs" / "assay.log").read_text()


def _recorded(home: Path) -> tuple[list[str], int, int]:
    """Of the Prefect database: states of flow runs, completed task runs, our INFO lines."""
    with sqlite3.connect(home / "prefect.db") as database:
        flows = [name for (name,) in database.execute("select state_name from flow_run")]
        tasks = database.execute("select count(*) from task_run where state_name = 'Completed'").fetchone()[0]
        lines = database.execute("select count(*) from log where level = 20 and message like 'step %'").fetchone()[0]
    return flows, tasks, lines


def test_what_a_user_has_set_wins_over_our_defaults(as_it_was: None) -> None:
    os.environ.pop("PREFECT_HOME", None)
    os.environ |= {"PREFECT_API_URL": "https://prefect.example/api", "MLFLOW_TRACKING_URI": "https://mlflow.example"}
    environment.prepare()
    assert not environment.own_prefect()
    assert not environment.own_mlflow()
    assert os.environ["PREFECT_API_URL"] == "https://prefect.example/api"
    assert "PREFECT_HOME" not in os.environ, "the user's profile, with its key, must stay in use"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_people_are_shown_the_door_that_is_theirs(as_it_was: None) -> None:
    os.environ |= {"PREFECT_API_URL": "http://prefect-server:4200/api", "PREFECT_UI_URL": ""}
    assert environment.prefect_pages() == "http://prefect-server:4200"
    os.environ["PREFECT_UI_URL"] = "https://prefect.example"
    assert environment.prefect_pages() == "https://prefect.example"


def test_our_own_servers_are_asked_directly_where_a_proxy_is_set(as_it_was: None) -> None:
    os.environ["NO_PROXY"] = "internal.example"
    environment.prepare()
    assert os.environ["NO_PROXY"] == "internal.example,127.0.0.1,localhost"
