"""What conflicts and decontaminate have answered is not asked again; whatever they have not answered is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from tasks.contract.known_answers import HeldoutRows, RelationInputs, step_input, step_inputs
from tasks.contract.measure import FactSources
from tasks.contract.row_relations import RelationSettings, StepInput, contradicts, leaked_from
from tasks.core.decisions import Decision, Decisions
from tasks.core.handle import LEDGER, ROWS, Handle
from tasks.core.ledger import Outcome, entries
from tasks.core.row_kind import CLASSIFICATION, SFT
from tasks.core.settings import Settings
from tasks.core.step import row_step
from tasks.curation.conflicts import ConflictSettings, conflicts
from tasks.curation.decontaminate import DecontaminateSettings, decontaminate
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings
from tests.support.run_artifacts import row, rows

pytestmark = [
    pytest.mark.usefixtures("prefect"),
    pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted"),  # steps run here outside any flow
]
ANSWER, KIND = AnswerSettings(), SFT
MEASURES = RelationSettings(contradictions=ConflictSettings(), leaks=DecontaminateSettings())
RAW = rows(
    [
        *(
            row(f"How do I get from the station to hall number {n} on foot today?", f"Exit {n}, then left.")
            for n in range(12)
        ),
        row("When do you open on Sundays?", "At nine."),
        row("When do you open on Sundays?", "We are closed."),
        row("Which gate does the early train to the coast leave from please?", "From gate five."),
    ]
).sort("row_id")
HOLDOUT = rows([row("Which gate does the early train to the coast leave from, please?", "Gate 5.")])


def made(name: str, frame: pl.DataFrame) -> Handle:
    def read(settings: Settings) -> Outcome:
        return Outcome(frame, entries(name, []))

    return row_step(read, Settings(), name)


def ran(reviewed: Decisions | None = None) -> tuple[Handle, Handle, Handle, Handle]:
    """Handles of the raw rows, of what conflicts and decontaminate left, and of the holdout."""
    raw, holdout = made("raw", RAW), made("holdout", HOLDOUT)
    agreed = row_step(conflicts, ConflictSettings(), rows=raw, reviewed=reviewed, kind=KIND, answer=ANSWER)
    left = row_step(decontaminate, DecontaminateSettings(), rows=agreed, kind=KIND, answer=ANSWER, holdout=holdout)
    return raw, agreed, left, holdout


def seen(
    steps: tuple[Handle, ...],
    measures: RelationSettings = MEASURES,
    heldout: HeldoutRows | None = None,
    **others: Any,
) -> dict[str, StepInput]:
    raw, agreed, _, holdout = steps
    relations = RelationInputs(measures, heldout or HeldoutRows(holdout), (raw, conflicts), (agreed, decontaminate))
    return step_inputs(relations, **{"kind": KIND, "answer": ANSWER} | others)


def fact(
    known: StepInput, frame: pl.DataFrame, column: str, count: Callable[[pl.DataFrame | None], pl.Series]
) -> pl.Series:
    return FactSources(ANSWER, KIND, PromptSettings(), step_inputs={column: known}).fact(frame, column, count)


def never(_rows: pl.DataFrame | None) -> pl.Series:
    raise AssertionError("counted again")


def test_of_rows_that_are_as_the_step_saw_them_its_answer_is_taken_and_is_what_counting_gives() -> None:
    steps = ran()
    raw, agreed, left = (step.frame() for step in steps[:3])
    known = seen(steps)
    for frame in (
        left,
        agreed,
        raw,
        left.sample(fraction=0.5, seed=1).sort("row_id"),
    ):  # raw: as if conflicts were not heeded
        said = fact(known["conflicts_with"], frame, "conflicts_with", never)
        assert said.to_list() == contradicts(frame, MEASURES.contradictions, ANSWER, KIND, raw).to_list()
    for frame in (left, agreed):
        said = fact(known["leaked_from"], frame, "leaked_from", never)
        assert said.to_list() == leaked_from(frame, [HOLDOUT], MEASURES.leaks, ANSWER, KIND, agreed).to_list()
    assert contradicts(raw, MEASURES.contradictions, ANSWER, KIND).drop_nulls().len() == 2
    assert (agreed.height - left.height, said.drop_nulls().to_list()) == (1, HOLDOUT["row_id"].to_list())


def test_a_row_that_is_new_or_changed_since_makes_all_be_counted_and_is_found() -> None:
    steps = ran()
    raw, agreed, left = (step.frame() for step in steps[:3])
    known = seen(steps)
    other = rows(
        [row("When do you open on Sundays?", "At nine."), row("When do you open on Sundays?", "We are closed.")]
    )
    new = pl.concat([left, other]).sort("row_id")
    first = pl.col("row_id") == left["row_id"][0]
    asks = pl.col("row_id").replace_strict(
        {left["row_id"][0]: HOLDOUT["messages"][0]}, default=None, return_dtype=RAW.schema["messages"]
    )
    changed = left.with_columns(messages=pl.when(first).then(asks).otherwise("messages"))
    for frame in (new, changed, left.with_columns(pl.when(first).then(pl.lit("{}x")).otherwise("meta").alias("meta"))):
        with pytest.raises(AssertionError, match="counted again"):
            fact(known["leaked_from"], frame, "leaked_from", never)
    found = fact(
        known["leaked_from"],
        changed,
        "leaked_from",
        lambda s: leaked_from(changed, [HOLDOUT], MEASURES.leaks, ANSWER, KIND, s),
    )
    assert changed["row_id"].filter(found.is_not_null()).to_list() == [left["row_id"][0]]
    aside = raw.filter(pl.col("row_id").is_in(agreed["row_id"].implode()))
    added = pl.concat([aside, rows([row("When do you open on Sundays?", "Never again.")])]).sort("row_id")
    says = contradicts(added, MEASURES.contradictions, ANSWER, KIND, raw)
    assert fact(known["conflicts_with"], added, "conflicts_with", lambda _: says).to_list() == says.to_list()
    assert says.drop_nulls().len() == 1


def test_nothing_is_known_of_other_settings_other_inputs_or_where_a_reviewer_spoke() -> None:
    steps = ran()
    assert all(known.removed is not None for known in seen(steps).values())
    for others in ({"kind": CLASSIFICATION}, {"answer": AnswerSettings(label="intent")}):
        assert all(known.removed is None for known in seen(steps, **others).values())
    stricter = RelationSettings(
        contradictions=ConflictSettings(policy="quarantine"), leaks=DecontaminateSettings(coverage=0.6)
    )
    assert all(known.removed is None for known in seen(steps, stricter).values())
    assert seen(steps, heldout=HeldoutRows(steps[0]))["leaked_from"].removed is None
    assert seen(steps, heldout=HeldoutRows(steps[3], edge_cases=steps[3]))["leaked_from"].removed is None
    assert step_input(None, ConflictSettings()) is None


def test_nothing_is_known_where_a_reviewers_word_stands_above_the_steps() -> None:
    row_id = RAW.filter(pl.col("messages").list.last().struct.field("content") == "At nine.")["row_id"][0]
    kept = Decision(row_id=row_id, decision="keep", step="conflicts", reviewer="Ada", at="2026-11-24T10:00:00Z")
    steps = ran(Decisions(made=(kept,)))
    assert row_id in steps[1].frame()["row_id"]
    assert seen(steps)["conflicts_with"].removed is None


def test_where_conflicts_is_off_it_says_nothing_of_what_the_contract_counts() -> None:
    raw = made("raw", RAW)
    off = ConflictSettings(policy="off")
    row_step(conflicts, off, rows=raw, kind=KIND, answer=ANSWER)
    known = step_inputs(
        RelationInputs(RelationSettings(contradictions=off), seen_by_conflicts=(raw, conflicts)),
        kind=KIND,
        answer=ANSWER,
    )
    assert known["conflicts_with"].removed is None


def test_an_answer_whose_files_were_touched_is_none() -> None:
    steps = ran()
    pl.read_parquet(steps[1].folder / LEDGER).clear().write_parquet(steps[1].folder / LEDGER)
    assert seen(steps)["conflicts_with"].removed is None
    assert seen(steps)["conflicts_with"].rows().equals(pl.read_parquet(steps[0].folder / ROWS))
