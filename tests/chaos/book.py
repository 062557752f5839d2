"""The record of each case, results.jsonl, and the table made of it, CHAOS.md; both written after each, so that none is
lost.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.chaos.cases import SERVICES, WHO, Case, matrix
from tests.chaos.play import Played

FOLDER = Path(__file__).parent
RECORDS, TABLE = FOLDER / "results.jsonl", FOLDER / "CHAOS.md"
HEAD = """\
# Under fire

Real processes on a stack as `make stack` starts it (PostgreSQL, Redis, SeaweedFS, Prefect server and services, MLflow, one
worker, proxy), in a throwaway folder, held to the machine's two cores. Written by `make chaos` from `results.jsonl`; each row
carries the date (UTC) it was measured at. `make chaos ONLY='mlflow .* register'` plays the cases again whose name matches.

A run of `retrain` of a little recipe (tests/support/little_recipe.py) is started by the worker and hit while a step is under way; cases that
differ in the step only are played in one run, which is hit again and again. Steps before the first hit come from the cache,
from an undisturbed run; all others are made anew. A team then has three things, and so has a case: the stack's supervisor,
which starts again what ends; the automations of `infra/automations.yaml`; and the button Retry, pressed when a run stays Failed
or Crashed for 10 s, or when nothing works on it any more though the server takes it for running. (That last is a run without
heartbeat: the automation finds it after ten minutes; to play a matrix the harness looks itself, and the table says `Retry of a
run that stayed Running`.) What healed a run is read from the states that the Prefect server kept of it.

Right means: the run ends Completed; every artifact has the digest that the undisturbed run gave it; raw = kept + dropped +
quarantined, with its numbers; one model version, one READY model and one run in MLflow, alias `challenger` on version 1; no
unfinished work in the home, no process left over. A run that is wrong in the end is wrong for each hit in it. Seconds are from
the hit to the next one or to the end of the run, so they hold the work until then, and the pauses of a Retry. On 2026-11-24
other work shared the two cores (load averages of 5 to 44), so they are long.
"""
# What the table alone would leave a reader to guess, as of 2026-11-29; to be taken out with the replay that changes it.
NOTES = """\
- `postgres TERM`: a SIGTERM by hand is PostgreSQL's smart shutdown, which waits for sessions that never end. So the six hits
  struck one PostgreSQL, which went on with the sessions it had until the run was over, and took no new ones. `make stack`
  starts it anew when it has not answered for a minute; the harness says `make stack` as a person would.
- A run whose process is killed is told as crashed twice by Prefect, and the second telling can come after a Retry, and undo it:
  then Retry is pressed again.
- Most cases of 16:50 to 18:05 were played on ea80a52 with 99bc6e9 on it; `disk FULL`, `STOP 10` of MLflow and PostgreSQL, and
  both `two homes` and `registrations` on f833bc1.
"""


def records() -> dict[str, dict[str, Any]]:
    """The newest record of each case by its name, in the order they were first played."""
    lines = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    return {record["name"]: record for record in map(json.loads, lines)}


def keep(played: Played) -> None:
    """Put a case's record in the place of its former one, and write the table anew."""
    kept = {**records(), played.name: played.record}
    RECORDS.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept.values()))
    TABLE.write_text(table(kept))


def table(kept: dict[str, dict[str, Any]]) -> str:
    """CHAOS.md."""
    cases = {case.name: case for case in matrix()}
    played = [name for name in cases if name in kept]
    right = sum(not kept[name]["wrong"] for name in played)
    parts = [HEAD]
    if base := kept.get("undisturbed"):
        parts += [f"An undisturbed run took {base['seconds']:.0f} s, from Submit to Completed ({base['date']}).\n"]
    parts += [f"{len(played)} of {len(cases)} cases of the matrix were played; {right} are right.\n"]
    rows = [_row(cases[name], kept[name]) for name in played]
    parts += [
        "| hit | how | at step | recovered by | seconds | verdict | date |\n|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    parts += [*(f"- **{who}**: {what}" for who, what in WHO.items()), ""]
    others = {name: record for name, record in kept.items() if name not in {*cases, "undisturbed"}}
    rows = [
        f"| {name} | {_figures(record)} | {_verdict(record)} | {record['date']} |" for name, record in others.items()
    ]
    parts += ["## Races, schedules, load, security\n\n| what | seen | verdict | date |\n|---|---|---|---|", *rows, ""]
    wrong = [f"- `{name}`: {'; '.join(record['wrong'])}" for name, record in kept.items() if record["wrong"]]
    parts += ["## What is not right\n", *wrong, ""] if wrong else []
    parts += ["## Notes\n", NOTES]
    edited = [f"- `{name}`: {record['edited']}" for name, record in kept.items() if "edited" in record]
    parts += ["## Records that a person changed\n", *edited, ""] if edited else []
    missed = [name for name in cases if name not in kept]
    parts += ["## Not run\n", ", ".join(f"`{name}`" for name in missed)] if missed else []
    return "\n".join(parts).rstrip() + "\n"


def _row(case: Case, record: dict[str, Any]) -> str:
    ends = case.how in ("KILL", "TERM") and (case.hit, case.how) != ("postgres", "TERM")  # which see in NOTES
    supervised = ends and case.hit in (*SERVICES, "worker", "machine")
    recovered = ", then ".join([*(["supervisor"] if supervised else []), *record["recovered"]]) or "itself"
    told = (recovered, f"{record['seconds']:.0f}" if record["seconds"] else "", _verdict(record), record["date"])
    return f"| {' | '.join((case.hit, case.how, case.step, *told))} |"


def _figures(record: dict[str, Any]) -> str:
    seconds = {"seconds": f"{record['seconds']:.0f}"} if record["seconds"] else {}
    return "; ".join(f"{name}: {value}" for name, value in {**record["figures"], **seconds}.items())


def _verdict(record: dict[str, Any]) -> str:
    return "**wrong**" if record["wrong"] else "right"
