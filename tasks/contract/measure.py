"""Every fact that a contract speaks of, and no other: what it costs to check a contract is what the contract asks for.

Counting tokens takes the base model's tokenizer, finding leaks takes the holdout: a contract that asks for what is not
there is refused, because an expectation that was not measured was not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from data_contracts.contract import Contract
from data_contracts.vocabulary import COSTLY
from tasks.contract.facts import row_facts
from tasks.contract.row_relations import RelationSettings, StepInput, contradicts, duplicate_of, leaked_from
from tasks.core.errors import RecipeError
from tasks.core.row import tools_of, turns
from tasks.core.row_kind import RowKind
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings, encode
from tasks.model.loading import load_tokenizer
from tasks.personal_data.finders import PersonalData, kinds_in

EACH: tuple[Literal["prompt", "answer", "pair"], ...] = ("prompt", "answer", "pair")


@dataclass(frozen=True)
class FactSources:
    """What facts are computed from beside the rows.

    tokenizer: folder of the base model, with `prompt`: the two say how many tokens a row is; or None. heldout: the rows
    of the holdout, the edge cases and benchmarks; empty when there are none. personal, relations: what the steps were
    told, so that both find the same. step_inputs: by column (conflicts_with, leaked_from) the rows that its step was
    given, if there are any beside those that are checked: what many rows say, and how they vote, is asked of them all.
    Where what the step made of them is known, and nothing has changed since, it is not computed again.
    """

    answer: AnswerSettings
    kind: RowKind
    prompt: PromptSettings
    tokenizer: Path | None = None
    heldout: Sequence[pl.DataFrame] = ()
    personal: PersonalData = field(default_factory=PersonalData)
    relations: RelationSettings = field(default_factory=RelationSettings)
    step_inputs: Mapping[str, StepInput] = field(default_factory=dict)

    @property
    def holds_nothing_out(self) -> bool:
        """Whether decontaminate was given the rows and nothing held out: then there is nothing that could leak."""
        return "leaked_from" in self.step_inputs and not self.heldout

    def fact(self, rows: pl.DataFrame, column: str, count: Callable[[pl.DataFrame | None], pl.Series]) -> pl.Series:
        """What the step said of `rows`, or what `count` says, given the rows that the step had."""
        seen = self.step_inputs.get(column)
        known = seen.answer_for(rows, column) if seen else None
        return known if known is not None else count(seen.rows() if seen else None)


def columns_spoken_of(contract: Contract) -> set[str]:
    """The columns that any of its expectations names."""
    return {column for expectation in contract.expectations for column in expectation.columns}


def facts_for(contract: Contract, rows: pl.DataFrame, sources: FactSources) -> pl.DataFrame:
    """row_id and the columns that `contract` speaks of, one row for each of `rows`, sorted by row_id.

    rows: ROW_SCHEMA. Raises RecipeError when the contract asks for what `sources` do not let one measure.
    """
    _check_measurable(contract, sources)
    return compute_facts(rows, columns_spoken_of(contract), sources)


def compute_facts(rows: pl.DataFrame, columns: set[str], sources: FactSources) -> pl.DataFrame:
    """row_id and `columns`, those left out that `sources` do not let one measure."""
    ordered = rows.sort("row_id")
    return row_facts(ordered, sources.answer, columns).with_columns(_costly(ordered, columns & set(COSTLY), sources))


def _costly(rows: pl.DataFrame, wanted: set[str], sources: FactSources) -> list[pl.Series]:
    """rows: sorted by row_id."""
    found: list[pl.Series] = []
    how, asked = sources.relations, (sources.answer, sources.kind)
    found += [duplicate_of(rows, of, how.duplicates, *asked) for of in EACH if f"{of}_twin" in wanted]
    if "conflicts_with" in wanted:
        found.append(sources.fact(rows, "conflicts_with", partial(contradicts, rows, how.contradictions, *asked)))
    if "leaked_from" in wanted and sources.heldout:
        found.append(sources.fact(rows, "leaked_from", partial(leaked_from, rows, sources.heldout, how.leaks, *asked)))
    elif "leaked_from" in wanted and sources.holds_nothing_out:
        found.append(pl.Series("leaked_from", [None] * rows.height, dtype=pl.String))
    if "personal_data" in wanted:
        found.append(kinds_in(rows, sources.personal).alias("personal_data"))
    if "tokens" in wanted and sources.tokenizer is not None:
        found.append(_tokens(rows, sources.tokenizer, sources.prompt))
    return found


def _tokens(rows: pl.DataFrame, folder: Path, prompt: PromptSettings) -> pl.Series:
    tokenizer = load_tokenizer(folder)
    counts = [
        max(len(encode(tokenizer, side, prompt, tools=tools_of(row["meta"])).input_ids) for side in _sides(row))
        for row in rows.iter_rows(named=True)
    ]
    return pl.Series("tokens", counts, dtype=pl.Int64)


def _sides(row: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """A row's conversation; of a preference pair also the one that ends with the rejected answer."""
    messages = turns(row)
    if row["rejected"] is None:
        return [messages]
    return [messages, [*messages[:-1], {"role": "assistant", "content": row["rejected"]}]]


def _check_measurable(contract: Contract, sources: FactSources) -> None:
    missing = {
        "tokens": "" if sources.tokenizer else "the base model, whose tokenizer counts tokens",
        "leaked_from": ""
        if sources.heldout or sources.holds_nothing_out
        else "the rows of the holdout, the edge cases or a benchmark",
    }
    for expectation in contract.expectations:
        for column in expectation.columns:
            if missing.get(column):
                raise RecipeError(
                    f"The contract {contract.name} asks for {expectation.rule}, which cannot be measured here.",
                    where=f"{expectation.file} ({expectation.name})",
                    allowed=f"{column} needs {missing[column]}",
                    todo="give the check step what it needs, or take the expectation out of the contract",
                )
