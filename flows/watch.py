"""watch: does the champion still know what people send? Looks at the sources, and starts retrain where the recipe says
so.

Nothing new costs a look at digests. New rows alone go through the steps that judge each row alone; what is left is
compared with the snapshot's rows (conflicts, dedupe), held against the contract, and answered by the champion.
Scheduled every day, and started by the event `assay.rows.arrived` (infra/README.md, Watch).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from data_contracts.contract import Contract, read_contract
from flows import start_retrain
from flows.curate import Results, cleaned_and_redacted, evaluation_rows, fetched, read, run_rowwise_steps
from flows.recipe import Recipe
from flows.run.final_states import ends_in_words
from flows.run.parameters import DEFAULT, RecipeName, RecipePath, recipe_from_form
from tasks.contract.known_answers import HeldoutRows, RelationInputs
from tasks.contract.row_relations import RelationSettings
from tasks.core.action import act
from tasks.core.errors import NothingLeftError
from tasks.core.handle import Handle
from tasks.core.process import terminal
from tasks.core.process.run_page import show
from tasks.core.step import row_step, work_step
from tasks.core.step_cache import Input
from tasks.curation.check import TokenInputs, check
from tasks.curation.conflicts import conflicts
from tasks.curation.dedupe import dedupe
from tasks.curation.ingest import RawFile, find_sources
from tasks.facts.watched import CompareFacts, GainedFacts, RescoreFacts
from tasks.monitoring.compare import compare, table
from tasks.monitoring.rescore import rescore
from tasks.monitoring.retrain_rule import RetrainDecision, decide_retrain
from tasks.monitoring.watch import Look, gained, joined, look, news, snapshot
from tasks.registry.champion import find_registered

# How it ends, when nothing fails; all are of Prefect's type Completed.
UNCHANGED, QUIET, WAITING, HELD, STARTED = "Unchanged", "Quiet", "Waiting", "Held", "Started"


@flow(name="watch", persist_result=False)
@ends_in_words
def watch(recipe: RecipeName = DEFAULT, recipe_path: RecipePath = "") -> State[dict[str, Any]]:
    """Look for rows that the champion has not learnt from, compare them, and retrain where the recipe's rule asks for
    it.
    """
    plan = recipe_from_form(recipe, recipe_path)
    files, seen = act("check the sources for changes", looked, plan)
    asked = {"recipe": recipe, "recipe_path": recipe_path}
    if seen.champion and seen.champion.known and seen.unchanged:
        return _ended(UNCHANGED, plan, f"{seen.line}. Nothing was read, nothing was run.")
    if why := act("check for runs under way", busy, plan, seen):
        return _ended(WAITING, plan, f"{seen.line}. {why}")
    if seen.champion is None or not seen.champion.known:
        known = "no version is registered" if seen.champion is None else "its training snapshot is not in the registry"
        return started(plan, asked, seen, {"first": known})
    new, compared, scored, decision = measured(plan, files, seen)
    rows = _table(compared, scored)
    line = f"{seen.line}. {new.line}."
    if decision.start:
        return started(plan, asked, seen, decision.reasons, rows)
    if decision.held:
        todo = "mend these rows, or the contract; retrain would stop at the same one"
        return _ended(HELD, plan, f"{line} Held: new rows break the contract: {decision.held}. To do: {todo}.", rows)
    state = QUIET if new.rows or seen.decided else UNCHANGED
    return _ended(state, plan, f"{line} Below the recipe's rule (watch): nothing is started.", rows)


def looked(plan: Recipe) -> tuple[list[RawFile], Look]:
    """The sources as ingest finds them, and how they stand to the champion's snapshot. Reads no row
    and loads no model.
    """
    champion, challenger = find_registered(plan.name)
    files = find_sources(plan.data.train, plan.folder)
    return files, look(plan.text, files, len(plan.decisions.made), champion, challenger)


def busy(plan: Recipe, seen: Look) -> str:
    """Why not to start now, or even to look closer; empty when there is no reason."""
    if run := start_retrain.under_way(plan):
        return f"A run of retrain is under way already: {run.name} ({run.state_name})."
    if seen.trained:
        return f"The {seen.trained.title} has learnt from these very sources. To do: promote it, or leave it."
    run, failed = start_retrain.tried(plan, seen.digest)
    if run:
        said = run.state.message if run.state else ""
        return f"This data was tried by {run.name}, which ended as {run.state_name}: {said or 'no word'}"
    if failed >= start_retrain.MOST_CRASHES:
        return (
            f"Retrain failed {failed} times with this data. To do: see why at the runs tagged data:{seen.digest[:16]}."
        )
    return ""


def measured(
    plan: Recipe, files: list[RawFile], seen: Look
) -> tuple[Handle, CompareFacts | None, RescoreFacts | None, RetrainDecision]:
    """(the new rows, facts of compare and of rescore where they ran, what the rule says)."""
    base = fetched(plan)
    learnt = work_step(snapshot, plan.watch, champion=seen.champion)
    came = work_step(news, plan.watch, "new_rows", rows=read(plan, "ingest", files), snapshot=learnt)
    if not came.rows:
        return came, None, None, decide_retrain(plan.watch, learnt.rows, seen.decided, None, None)
    passed = _alone(plan, came, base)
    left = _compared(plan, learnt, passed) if passed else None
    asked: dict[str, Input] = {"answer": plan.answer, "kind": plan.rows_are}
    contract = read_contract(plan.contract, plan.folder)
    checked = _checked(plan, contract, left, base) if left and left.rows else None
    told = work_step(
        compare, plan.watch, snapshot=learnt, came=came, new=passed, contract=contract, checked=checked, **asked
    )
    compared, scored = CompareFacts.of(told), None
    if left and left.rows and plan.watch.scored_rows and plan.is_trainable:
        scored = RescoreFacts.of(
            work_step(
                rescore,
                plan.watch,
                champion=seen.champion,
                snapshot=learnt,
                rows=left,
                answer=plan.answer,
            )
        )
    more = (GainedFacts.of(left).more if left else 0) + seen.decided
    return came, compared, scored, decide_retrain(plan.watch, learnt.rows, more, compared, scored)


def _alone(plan: Recipe, came: Handle, base: Handle) -> Handle | None:
    """What the steps that judge each row alone leave of the new rows; None when that is nothing."""
    try:
        return run_rowwise_steps(plan, came, base)[-1]
    except NothingLeftError:  # their task has failed with the reasons, and that is the finding
        return None


def _compared(plan: Recipe, learnt: Handle, passed: Handle) -> Handle:
    """Of the new rows, those that neither copy nor contradict a row of the snapshot or each other."""
    kind: dict[str, Input] = {"kind": plan.rows_are, "answer": plan.answer}
    both = work_step(joined, plan.watch, "join_snapshot", snapshot=learnt, new=passed)
    clear = row_step(conflicts, plan.conflicts, rows=both, reviewed=plan.decisions, **kind)
    apart = row_step(dedupe, plan.dedupe, rows=clear, reviewed=plan.decisions, **kind)
    return work_step(gained, plan.watch, "unseen_rows", rows=apart, both=both, new=passed)


def _checked(plan: Recipe, contract: Contract, left: Handle, base: Handle) -> Handle:
    """The new rows against the contract, every expectation as a warning: what is broken is counted here, and stops
    nothing.
    """
    heldout: Results = {name: cleaned_and_redacted(plan, name, one) for name, one in evaluation_rows(plan).items()}
    measures = RelationSettings(plan.dedupe, plan.conflicts, plan.decontaminate)
    told = tuple(e.model_copy(update={"severity": "warn"}) for e in contract.expectations)
    return work_step(
        check,
        plan.check,
        contract=contract.model_copy(update={"expectations": told}),
        rows=left,
        answer=plan.answer,
        kind=plan.rows_are,
        tokens=TokenInputs(base, plan.prompt),
        personal=plan.redact,
        relations=RelationInputs(measures, HeldoutRows(**heldout)),
    )


def started(
    plan: Recipe, asked: dict[str, str], seen: Look, reasons: Mapping[str, str], rows: Sequence[dict[str, Any]] = ()
) -> State[dict[str, Any]]:
    """Start retrain, on a worker where the server has a deployment of it, else here and now; the final state of this
    run.
    """
    why = "; ".join(reasons.values())
    _show(STARTED, plan, f"Because {why}.", rows)
    terminal.note(f"retrain is started: {why}")
    run = start_retrain.start(plan, asked, seen.digest, reasons, start_retrain.tried(plan, seen.digest)[1])
    if run.state is None:
        line = f"Started retrain on a worker ({run.name}) because {why}."
        return Completed(name=STARTED, message=line, data=_data(STARTED, line, rows))
    results = run.state.result(raise_on_failure=False)
    if isinstance(results, BaseException):
        raise results
    line = f"Retrained here ({run.name}), which ended as {run.state.name}, because {why}."
    data = {**_data(STARTED, line, rows), "retrain": dict(results), "ended": run.state.name}
    return Completed(name=STARTED, message=line, data=data)


def _ended(name: str, plan: Recipe, line: str, rows: Sequence[dict[str, Any]] = ()) -> State[dict[str, Any]]:
    _show(name, plan, line, rows)
    return Completed(name=name, message=line, data=_data(name, line, rows))


def _data(name: str, line: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"state": name, "line": line, "table": list(rows)}


def _show(name: str, plan: Recipe, line: str, rows: Sequence[dict[str, Any]]) -> None:
    """The comparisons on the page of the run, or the one line where nothing was compared."""
    told = list(rows) or [{"compared": "sources", "result": line}]
    show(create_table_artifact, table=told, key="watch", description=f"**watch {plan.name}: {name}**. {line}")


def _table(compared: CompareFacts | None, scored: RescoreFacts | None) -> list[dict[str, Any]]:
    rows = table(compared) if compared else []
    if scored:
        rows.append({"compared": f"champion: {scored.metric}", "result": scored.told})
    return rows
