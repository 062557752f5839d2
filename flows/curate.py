"""curate: raw exports in; a curated dataset, the ledger of every row and the quarantine out."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from pydantic import Field

from data_contracts.contract import read_contract
from flows.recipe import Recipe, load_recipe
from tasks.account import AccountSettings, account
from tasks.check import check
from tasks.clean import clean
from tasks.conflicts import conflicts
from tasks.core.handle import Handle
from tasks.core.step import row_step, work_step
from tasks.dedupe import dedupe
from tasks.filter import filter_answers
from tasks.ingest import Source, find_sources, ingest
from tasks.redact import redact
from tasks.split import split

RecipeName = Annotated[str, Field(description="A recipe by name (support_triage), or the path of a recipe file", min_length=1)]
Results = dict[str, Handle]


@flow(name="curate", persist_result=False)
def curate(recipe: RecipeName = "support_triage") -> Results:
    """Turn raw exports into a dataset that keeps its contract, and account for every row."""
    return curated(load_recipe(recipe))


def curated(recipe: Recipe) -> Results:
    """The first half of a run: ingest, clean, redact, filter, resolve conflicts, dedupe, check, split, account."""
    raw = read(recipe, "ingest", recipe.data.train)
    cleaned = row_step(clean, recipe.clean, rows=raw)
    redacted = row_step(redact, recipe.redact, rows=cleaned)
    formed = row_step(filter_answers, recipe.filter, "filter", rows=redacted, answer=recipe.answer)
    agreed = row_step(conflicts, recipe.conflicts, rows=formed, answer=recipe.answer)
    unique = row_step(dedupe, recipe.dedupe, rows=agreed)
    contract = read_contract(recipe.contract, recipe.folder)
    checked = work_step(check, recipe.check, contract=contract, rows=unique, answer=recipe.answer)
    holdout = read(recipe, "holdout", recipe.data.holdout)
    edge_cases = read(recipe, "edge_cases", recipe.data.edge_cases) if recipe.data.edge_cases else None
    final = row_step(split, recipe.split, rows=unique, answer=recipe.answer, holdout=holdout, edge_cases=edge_cases)
    steps = [raw, cleaned, redacted, formed, agreed, unique, final]
    dataset = work_step(account, AccountSettings(), steps=steps)
    named = {step.step: step for step in steps}
    return {**named, "holdout": holdout, "contract": checked, "dataset": dataset} | (
        {"edge_cases": edge_cases} if edge_cases else {}
    )


def read(recipe: Recipe, label: str, sources: tuple[Source, ...]) -> Handle:
    """Ingest files. The holdout and the edge cases are read as they are: they stand for what production will send."""
    return row_step(ingest, recipe.ingest, label, files=find_sources(sources, recipe.folder))
