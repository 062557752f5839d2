"""Load: fifty runs asked for at once on one worker, and pages over a database of ten thousand past runs."""

from __future__ import annotations

import shutil
import time

import psutil

from infra.services import read_services
from tests.chaos.judge import Outcome
from tests.chaos.play import Played, ended
from tests.chaos.stage import Scene, Stage

RUNS, PAST, SECONDS = 50, 10_000, 3600
PAGES = {"runs": "past-1", "dashboard": "Flow Runs", "deployments": "retrain"}  # and what stands there when it is open
SLOW_SECONDS = 10.0  # a page that takes longer is no page that a team would work with
COPIES = (
    "CREATE TEMP TABLE copies AS SELECT n, gen_random_uuid() run, gen_random_uuid() state FROM generate_series(1, %s) n"
)
COPIED = """
INSERT INTO {table} SELECT (jsonb_populate_record(one, jsonb_build_object({changed}))).* FROM {table} one, copies
WHERE one.id = %s
"""
AGO = "one.{0} - make_interval(mins => n)"
RUN = {
    "id": "run",
    "state_id": "null",
    "idempotency_key": "run::text",
    "name": "'past-' || n",
    **{time: AGO.format(time) for time in ("start_time", "end_time", "expected_start_time", "created", "updated")},
}
STATE = {"id": "state", "flow_run_id": "run", "timestamp": AGO.format("timestamp")}


def fifty_runs(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """curate fifty times, the first of them unmade: all end, and the worker's memory stays what it was."""
    played, begun = Played("50 runs queued at once"), time.monotonic()
    runs = [stage.submit(scene, "curate/curate") for _ in range(RUNS)]
    worker, most, working = stage.service("worker")[0], 0, 0
    first = worker.memory_info().rss
    while not all(ended(stage.state(run)) for run in runs) and time.monotonic() < begun + SECONDS:
        most = max(most, worker.memory_info().rss)
        working = max(working, sum(_memory(one) for one in stage.workings()))
        time.sleep(2)
    played.seconds = round(time.monotonic() - begun, 1)
    states = [str(stage.state(run).get("name")) for run in runs]
    played.wrong += [f"{states.count(name)} runs are {name}" for name in sorted(set(states) - {"Completed"})]
    played.figures = {
        "a run": f"{played.seconds / RUNS:.1f} s",
        "worker before": f"{first / 1e6:.0f} MB",
        "worker at most": f"{most / 1e6:.0f} MB",
        "runs at most": f"{working / 1e6:.0f} MB",
    }
    return played


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def ten_thousand_runs(stage: Stage, scene: Scene, wanted: Outcome) -> Played:
    """Past runs by SQL, as copies of one that ended; then the pages in Chromium, and the calls they make."""
    played = Played("10,000 past runs")
    _copy_runs(PAST)
    api = {
        "runs, newest 200": ("flow_runs/filter", {"limit": 200, "sort": "EXPECTED_START_TIME_DESC"}),
        "count of runs": ("flow_runs/count", {}),
        "a page of runs": ("flow_runs/paginate", {"limit": 20, "page": 250, "sort": "EXPECTED_START_TIME_DESC"}),
    }
    for name, (path, asked) in api.items():
        begun = time.monotonic()
        answer = stage.api("POST", path, asked)
        played.figures[name] = f"{time.monotonic() - begun:.2f} s"
        if path.endswith("count") and answer < PAST:
            played.wrong.append(f"the server counts {answer} runs")
    for page, seconds in _open(stage).items():
        played.figures[f"page {page}"] = f"{seconds:.1f} s"
        if seconds > SLOW_SECONDS:
            played.wrong.append(f"the page {page} took {seconds:.1f} s")
    return played


def _copy_runs(number: int) -> None:
    """Rows of flow_run and flow_run_state, a minute apart into the past, each a copy of the newest run that ended."""
    import psycopg

    service = read_services()["prefect-server"].environment
    names = {key: service[f"PREFECT_SERVER_DATABASE_{key.upper()}"] for key in ("host", "port", "user", "password")}
    with psycopg.connect(dbname="prefect", **names) as connection:  # type: ignore[arg-type]
        newest = "SELECT id, state_id FROM flow_run WHERE state_type = 'COMPLETED' ORDER BY created DESC LIMIT 1"
        run, state = connection.execute(newest).fetchone() or ("", "")
        connection.execute(COPIES, [number])
        connection.execute(COPIED.format(table="flow_run", changed=_json(RUN)), [run])
        connection.execute(COPIED.format(table="flow_run_state", changed=_json(STATE)), [state])
        connection.execute("UPDATE flow_run SET state_id = copies.state FROM copies WHERE flow_run.id = copies.run")


def _json(changes: dict[str, str]) -> str:
    return ", ".join(f"'{column}', {value}" for column, value in changes.items())


def _open(stage: Stage) -> dict[str, float]:
    """Seconds until Chromium has shown each page with its words, and it asks for nothing more; after signing in."""
    from playwright.sync_api import sync_playwright

    values, took = stage.values(), dict[str, float]()
    url = f"http://localhost:{values['PREFECT_PUBLIC_PORT']}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-quic"]
        )
        shown = browser.new_page()
        shown.set_default_timeout(120_000)
        shown.goto(url)
        shown.get_by_placeholder("admin:pass").fill(values["PREFECT_AUTH"])
        shown.get_by_role("button", name="Login").click()
        shown.wait_for_load_state("networkidle")
        for page, words in PAGES.items():
            begun = time.monotonic()
            shown.goto(f"{url}/v2/{page}", wait_until="networkidle")
            shown.get_by_text(words).first.wait_for()
            took[page] = time.monotonic() - begun
        browser.close()
    return took
