"""The one wrapper around every step: a plain function becomes a cached, retried, accounted Prefect task.

    rows   = row_step(clean, recipe.clean, rows=rows)          # frames in, frames and ledger out, balance checked
    scores = work_step(evaluate, recipe.evaluate, ...)         # files in, files out

Both give back a `Handle`. A step's cache key is the digest of its name, its settings, its inputs' digests and its code;
the result lies in ASSAY_HOME, so the same work is found again by another process, after a kill, or from the Prefect UI.
Prefect is imported only when a step runs: reading a recipe imports every step for its settings, and must stay quick.
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from tasks.core.decisions import Decisions
from tasks.core.errors import NothingLeftError
from tasks.core.facts import RowFacts
from tasks.core.handle import FACTS, LEDGER, Handle
from tasks.core.home import TOLD, commit, home_folder, new_artifact
from tasks.core.ledger import GONE, Outcome
from tasks.core.process import terminal
from tasks.core.process.hardware import release_memory
from tasks.core.process.lock import only_one
from tasks.core.process.progress import Progress
from tasks.core.process.retry import may_heal
from tasks.core.process.run_page import show
from tasks.core.row_batches import BatchOutcome, batch_outcomes, write_rows
from tasks.core.step_cache import Input, is_kept, result_of, work_key
from tasks.core.text.display import number_of, words
from tasks.core.work import StepDirs, StepResult

# Waits of 2, 4, 8 and 16 s: half a minute, which outlasts a restart of MLflow or an object store.
RETRIES, BACK_OFF_SECONDS = 4, 2.0


def row_step(
    function: Callable[..., Outcome],
    settings: BaseModel,
    label: str = "",
    /,
    rows: Handle | None = None,
    reviewed: Decisions | None = None,
    **inputs: Input,
) -> Handle:
    """Run `function(rows=frame, settings=..., **inputs) -> Outcome` as a task; check invariant 1; write Parquet.

    rows: all of them in one frame; for a step that is declared `row_by_row` (tasks/core/batches.py) some at a time, and
    so are they written. inputs: a handle of rows arrives as a frame, anything else as it is. reviewed: what people
    decided; of rows that this step holds back, their word stands above its own (tasks/core/decisions.py). Raises
    LedgerError when a row is unaccounted for and DataError when none is left.
    """
    name = label or function.__name__
    given = {**({"rows": rows} if rows else {}), **inputs}
    asked = (reviewed or Decisions()).asked_by(name)

    def body(place: StepDirs) -> StepResult:
        loaded = {key: _load(value) for key, value in inputs.items()}
        outcomes = batch_outcomes(name, function, rows, {"settings": settings, **loaded}, asked, place.progress)
        return _write_rows(place.out, name, outcomes)

    return _run(name, function, settings, {**given, **({"reviewed": asked} if asked.made else {})}, body)


def work_step(
    function: Callable[..., StepResult],
    settings: BaseModel,
    label: str = "",
    still: Callable[[Handle], bool] = lambda _handle: True,
    /,
    **inputs: Input,
) -> Handle:
    """Run `function(place, settings=..., **inputs) -> StepResult` as a task; what it leaves in place.out is the
    artifact.

    still: asked before a cached result is taken, for a step whose effect lies outside ASSAY_HOME and can be undone
    there.
    """
    name = label or function.__name__
    return _run(name, function, settings, inputs, lambda place: function(place, settings=settings, **inputs), still)


def _load(value: Input) -> Any:
    return value.frame() if isinstance(value, Handle) and value.kind == "rows" else value


def _run(
    name: str,
    function: Callable[..., Any],
    settings: BaseModel,
    inputs: dict[str, Any],
    body: Callable[[StepDirs], StepResult],
    still: Callable[[Handle], bool] = lambda _handle: True,
) -> Handle:
    from prefect import task
    from prefect.tasks import exponential_backoff

    key = work_key(name, function, settings, inputs)
    scratch = home_folder(f"scratch/{name}") / key[:16]
    waiting = f"{name} is being made by another process; waiting for it"  # and then its result is found in the cache
    with only_one(scratch.with_name(f"{scratch.name}.lock"), waiting, terminal.note):

        @task(
            name=name,
            task_run_name=name,
            description=inspect.getdoc(function),
            persist_result=True,
            result_serializer="json",
            cache_key_fn=lambda _context, _parameters: key,
            refresh_cache=not _holds(key, still),
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(BACK_OFF_SECONDS),
            retry_jitter_factor=0.5,
            retry_condition_fn=may_heal,
        )
        def run(inputs: dict[str, Any]) -> Handle:
            return _make(name, scratch, body)

        state = run(inputs, return_state=True)
        handle = state.result()
        shutil.rmtree(scratch, ignore_errors=True)  # only now that the result is kept: a kill before it loses nothing
    if not isinstance(handle, Handle):
        raise TypeError(f"step {name} came back as {type(handle).__name__}, not as a handle")
    cached = state.name == "Cached"
    terminal.step(name, handle.line, cached=cached)
    if cached:
        _show_cached(name, handle.facts())
    return handle


def _make(name: str, scratch: Path, body: Callable[[StepDirs], StepResult]) -> Handle:
    from prefect.artifacts import create_table_artifact
    from prefect.logging import get_run_logger

    scratch.mkdir(exist_ok=True)
    with new_artifact(f"{name}-{scratch.name}") as out, Progress(name) as progress:
        made = body(StepDirs(out, scratch, progress))
        _write_json(out / FACTS, made.facts)
        _write_json(out / TOLD, {"line": made.line, "table": made.table, **made.told})
        final, digest = commit(out, name)
    release_memory()
    get_run_logger().info("%s: %s", name, made.line)
    if made.table:
        described = f"**{name}**: {made.line}"
        show(create_table_artifact, table=made.table, key=name.replace("_", "-"), description=described)
    return Handle.of(final, step=name, kind=made.kind, digest=digest, rows=made.rows)


def _show_cached(name: str, facts: dict[str, Any]) -> None:
    """What the step told when it was made, on the page of this run too; a run that is tried again has it already."""
    from prefect.artifacts import create_table_artifact
    from prefect.context import FlowRunContext
    from prefect.logging import get_run_logger

    context = FlowRunContext.get()
    if context is None:
        return
    get_run_logger().info("%s: from the cache: %s", name, facts.get("line", ""))
    if facts.get("table") and context.flow_run and context.flow_run.run_count <= 1:
        described = f"**{name}**, from the cache: {facts['line']}"
        show(create_table_artifact, table=facts["table"], key=name.replace("_", "-"), description=described)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def _write_rows(out: Path, name: str, outcomes: Iterable[BatchOutcome]) -> StepResult:
    rows, counts = write_rows(out, outcomes)
    came = rows + sum(sum(counts.get(action, {}).values()) for action in GONE)
    if not rows:
        raise NothingLeftError(
            f"No row is left after {name}: {came:,} came in.",
            where=f"step {name}: "
            + "; ".join(f"{r} {n:,}" for a in counts.values() for r, n in a.items())
            + _first(out),
            allowed="at least one row",
            todo="look at the reasons above; loosen this step in the recipe, or mend the source",
        )
    table = [{"action": a, "reason": r, "rows": n} for a, reasons in counts.items() for r, n in reasons.items()]
    line = f"{number_of(came, 'row')} in, {rows:,} kept" + "".join(
        f", {sum(reasons.values()):,} {action}" for action, reasons in counts.items() if action != "kept"
    )
    return StepResult("rows", line, RowFacts(came=came, kept=rows, counts=counts).written(), table, rows)


def _first(out: Path) -> str:
    """One of the rows that are gone, with what the ledger says of it."""
    gone = pl.read_parquet(out / LEDGER).filter(pl.col("action").cast(pl.String).is_in(GONE)).head(1)
    if gone.is_empty():
        return ""
    row = gone.row(0, named=True)
    found = "; ".join(
        f"{name.replace('_', ' ')}: {words(value)}" for name, value in json.loads(row["evidence"]).items()
    )
    return f"\n           for example {row['source']}, line {row['line']}: {row['reason']}" + (
        f"; {found}" if found else ""
    )


def _holds(key: str, still: Callable[[Handle], bool]) -> bool:
    """Whether the cached result of `key`, if any, is still true: files unchanged, and `still` agrees."""
    if not is_kept(key):
        return True  # nothing cached, nothing to refresh
    handle = result_of(key)
    try:
        return handle is not None and still(handle)
    except (OSError, ValueError, KeyError, TypeError):
        return False
