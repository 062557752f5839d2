"""curate: raw exports in; a curated dataset, the ledger of every row, advice and a review sheet out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

from data_contracts.contract import read_contract
from flows.recipe import Recipe
from flows.run.dataset_history import record_dataset
from flows.run.final_states import ends_in_words
from flows.run.parameters import DEFAULT, ROWS, Assignments, RecipeName, RecipePath, Rows, recipe_from_form
from tasks.contract.known_answers import HeldoutRows, RelationInputs
from tasks.contract.row_relations import RelationSettings
from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.process import terminal
from tasks.core.step import row_step, work_step
from tasks.curation.account import AccountSettings, account
from tasks.curation.advise import advise
from tasks.curation.check import TokenInputs, check
from tasks.curation.clean import clean
from tasks.curation.conflicts import conflicts
from tasks.curation.decontaminate import decontaminate
from tasks.curation.dedupe import dedupe
from tasks.curation.filter import filter_rows, find_rules
from tasks.curation.format import format_answers, format_heldout
from tasks.curation.ingest import RawFile, find_sources, ingest
from tasks.curation.label_errors import label_errors
from tasks.curation.redact import redact
from tasks.curation.review import decide, review
from tasks.curation.select import select
from tasks.curation.split import split
from tasks.evaluation.evaluate import SETS, references_of
from tasks.model.base_model import find_model
from tasks.training.fetch import fetch

Results = dict[str, Handle]
HELDOUT = ("holdout", "edge_cases", "benchmarks")  # what nothing may be trained on


@dataclass(frozen=True)
class Curated:
    """What the first part of a run hands on. steps: the row steps in order. fetched: the base model, where the recipe
    names one. heldout: the held-out rows by name, as they are asked; compared: the same, cleaned and redacted as
    training rows are.
    """

    steps: tuple[Handle, ...]
    fetched: Handle | None
    dataset: Handle
    contract: Handle
    advice: Handle
    review: Handle
    heldout: Results
    compared: Results

    @property
    def results(self) -> Results:
        """What came of it by name, without the steps: what a run of `curate` returns."""
        made = {"dataset": self.dataset, "contract": self.contract, "advice": self.advice, "review": self.review}
        return {**({"base": self.fetched} if self.fetched else {}), **made, **self.heldout}

    @property
    def base(self) -> Handle:
        """The base model of a run that trains, which Recipe.check_trainable has asked for."""
        if self.fetched is None:
            raise LookupError("a recipe without a base model is curated only")
        return self.fetched


@flow(name="curate", persist_result=False)
@ends_in_words
def curate(
    recipe: RecipeName = DEFAULT, recipe_path: RecipePath = "", rows: Rows = 0, settings: Assignments = ()
) -> Results:
    """Turn raw exports into a dataset that keeps its contract, and account for every row."""
    return curated(recipe_from_form(recipe, recipe_path, {ROWS: rows}, settings)).results


def curated(plan: Recipe) -> Curated:
    """The first part of a run: the rows that are trained on, and those held out."""
    kind, answer, said = plan.rows_are, plan.answer, plan.decisions
    base = fetched(plan) if plan.base_model else None
    heldout = evaluation_rows(plan)
    files = find_sources(plan.data.train, plan.folder)
    steps = run_rowwise_steps(plan, read(plan, "ingest", files), base)
    heldout |= {name: in_form(plan, name, heldout[name], steps[-1]) for name in SETS if name in heldout}
    warn_of_faults(plan, heldout)

    def run_next(function: Callable[..., Any], settings: Any, name: str = "", **inputs: Any) -> None:
        steps.append(row_step(function, settings, name, rows=steps[-1], reviewed=said, **inputs))

    conflicts_saw = (steps[-1], conflicts)  # whose votes and wording cleared the rows that are left
    run_next(conflicts, plan.conflicts, kind=kind, answer=answer)
    run_next(dedupe, plan.dedupe, kind=kind, answer=answer)
    run_next(label_errors, plan.label_errors, kind=kind, answer=answer)
    compared = {name: cleaned_and_redacted(plan, name, one) for name, one in heldout.items()}
    decontaminate_saw = (steps[-1], decontaminate)
    run_next(decontaminate, plan.decontaminate, "", kind=kind, answer=answer, **compared)
    run_next(select, plan.select, kind=kind, answer=answer)
    measures = RelationSettings(plan.dedupe, plan.conflicts, plan.decontaminate)
    contract = work_step(
        check,
        plan.check,
        contract=read_contract(plan.contract, plan.folder),
        rows=steps[-1],
        answer=answer,
        kind=kind,
        tokens=TokenInputs(base, plan.prompt),
        personal=plan.redact,
        relations=RelationInputs(measures, HeldoutRows(**compared), conflicts_saw, decontaminate_saw),
    )
    run_next(split, plan.split, kind=kind, answer=answer)
    dataset = work_step(account, AccountSettings(), steps=steps, files=files, decisions=said)
    record_dataset(plan.name, dataset)
    advice = work_step(advise, plan.advise, dataset=dataset, kind=kind, answer=answer, prompt=plan.prompt)
    sheet = work_step(review, plan.review, steps=steps, dataset=dataset, kind=kind, answer=answer, personal=plan.redact)
    return Curated(tuple(steps), base, dataset, contract, advice, sheet, heldout, compared)


def fetched(plan: Recipe) -> Handle:
    """The base model of a recipe that is trained."""
    return work_step(fetch, plan.trained_model, found=find_model(plan.trained_model, plan.folder))


def run_rowwise_steps(plan: Recipe, rows: Handle, base: Handle | None) -> list[Handle]:
    """`rows`, and what the steps make of them that judge each row by itself, in order: so of new rows alone as well
    (watch).
    """
    kind, said, steps = plan.rows_are, plan.decisions, [rows]

    def run_next(function: Callable[..., Any], settings: Any, name: str = "", **inputs: Any) -> None:
        steps.append(row_step(function, settings, name, rows=steps[-1], reviewed=said, **inputs))

    run_next(decide, plan.review, decisions=said.changes)
    run_next(clean, plan.clean)
    run_next(redact, plan.redact)
    rules = find_rules(plan.filter.rules, plan.folder)
    run_next(filter_rows, plan.filter, "filter", kind=kind, base=base, rules=rules, prompt=plan.prompt)
    run_next(format_answers, plan.format, "format", kind=kind, answer=plan.answer)
    return steps


def evaluation_rows(plan: Recipe) -> Results:
    """Held-out rows, as they were written, by what they are."""
    named = {name: getattr(plan.data, name) for name in HELDOUT}
    return {name: read(plan, name, find_sources(sources, plan.folder)) for name, sources in named.items() if sources}


def read(plan: Recipe, label: str, files: list[RawFile]) -> Handle:
    """Ingest files. Held-out rows are read as they are: they stand for what production will send."""
    return row_step(ingest, plan.ingest, label, reviewed=plan.decisions, files=files, kind=plan.rows_are)


def in_form(plan: Recipe, label: str, heldout: Handle, formatted: Handle) -> Handle:
    """Held-out rows with the answers that are expected in the form of the training rows, `formatted`; what they ask
    stays.
    """
    return row_step(
        format_heldout,
        plan.format,
        f"{label}_formatted",
        rows=heldout,
        kind=plan.rows_are,
        answer=plan.answer,
        training=None if plan.answer.json_schema else formatted,
    )


def warn_of_faults(plan: Recipe, heldout: Results) -> None:
    """Say which expected answers no model could give: a run would stop at them before it trains."""
    for name in SETS:
        try:
            if name in heldout:
                references_of(name, heldout[name].frame(), plan.answer)
        except DataError as error:
            line = f"{name}: {error.what} {error.where}. `retrain` stops at them. To do: {error.todo}."
            get_run_logger().warning(line)
            terminal.note(line)


def cleaned_and_redacted(plan: Recipe, label: str, heldout: Handle) -> Handle:
    """Held-out rows in the form of the rows they are compared with: else an address in both would hide a copy."""
    cleaned = row_step(clean, plan.clean, f"{label}_cleaned", rows=heldout)
    return row_step(redact, plan.redact, f"{label}_redacted", rows=cleaned)
