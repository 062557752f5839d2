"""Filter: rows that cannot teach, each with the rule it breaks. Nothing is changed here; format mends what can be
mended.

Which rules apply, and whether a row that breaks one is dropped or quarantined, is preset by each rule and the dataset's
kind (tasks/curation/filters) and can be chosen for each rule. No rule is made for web pages: fine-tuning rows are
short, and a good answer may be one word.

sft: questions and the answers that teach (weights). preference: the same of the prompt and the chosen answer; a
rejected answer may be as bad as it likes, but must be there, readable and of a length that fits. classification: text
and label are there and readable, and the text is in a language that the recipe names.

Applied to training rows only: an empty message is a fair question in a set of edge cases. A rule is one file in
tasks/curation/filters, or of one's own (tasks/curation/filters/custom.py); of several that a row breaks the first in
tasks/curation/filters/catalog.py is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import polars as pl
from pydantic import Field, field_validator

from tasks.core.batches import row_by_row
from tasks.core.handle import Handle
from tasks.core.ledger import ACTIONS, Outcome, entries, entry
from tasks.core.members import one_of
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.curation.filters import truncated
from tasks.curation.filters.base import Action, Filter, FilterContext
from tasks.curation.filters.catalog import FILTERS
from tasks.curation.filters.custom import OwnRule, find_rules, load_rule
from tasks.curation.filters.ending_habits import SAMPLE, Habits, habits
from tasks.curation.filters.language import check_languages
from tasks.model.chat_template import PromptSettings

__all__ = ["FilterSettings", "filter_rows", "find_rules"]

PLAIN = PromptSettings()
FilterName = Annotated[str, one_of(lambda: [rule.name for rule in FILTERS])]


class FilterSettings(Settings):
    """Which rows cannot teach."""

    # What becomes of a row that breaks a rule, where it is to be otherwise than preset (tasks/curation/filters).
    actions: dict[FilterName, Action] = Field(default_factory=dict)
    # Languages that answers are written in, as ISO 639 codes (en, de); none named, none is checked.
    languages: tuple[str, ...] = ()
    # Whole answers that are boilerplate here, besides those known (tasks/curation/filters/phrases), whatever case and
    # punctuation.
    phrases: tuple[str, ...] = ()
    # Rules of one's own, applied after the others: tasks/curation/filters/custom.py says how one is written.
    rules: tuple[str, ...] = ()

    @field_validator("phrases")
    @classmethod
    def _say_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(any(c.isalnum() for c in phrase) for phrase in value):
            raise ValueError("a phrase without a letter would match answers without a letter")
        return value

    def fitted(self, recipe: Any, folder: Path) -> Self:
        check_languages(self.languages)
        find_rules(self.rules, folder)
        return self


def how_answers_end(
    batches: Iterable[pl.DataFrame], settings: FilterSettings, kind: RowKind, **_inputs: Any
) -> dict[str, Any]:
    """What the rule `truncated` must know of a dataset before it can judge one of its rows: the
    step's input `learnt`.
    """
    if _action(truncated.RULE, settings, kind) == "off":
        return {}
    texts, found = list[pl.DataFrame](), 0
    for rows in batches:
        texts.append(FilterContext(rows, kind).taught_answers.select("text"))
        found += texts[-1].height
        if found >= SAMPLE:
            break
    return {"learnt": habits(pl.concat(texts))}


@row_by_row(learn=how_answers_end)
def filter_rows(
    rows: pl.DataFrame,
    settings: FilterSettings,
    kind: RowKind,
    base: Handle | None = None,
    rules: Sequence[OwnRule] = (),
    learnt: Habits | None = None,
    prompt: PromptSettings = PLAIN,
) -> Outcome:
    """Apply the rules. kept: rows that break none, unchanged. dropped, quarantined: the others, as the rule's action
    says.

    base: the base model, for the rules template and too_long, which are skipped without it. prompt: how rows with tools
    are written to be trained on. rules: settings.rules as find_rules found them. learnt: how the dataset's answers end,
    where `rows` are only a part of it. Raises RecipeError for a language that cannot be told, or a rule that cannot be
    run.
    """
    rows = rows.sort("row_id")
    check_languages(settings.languages)
    context = FilterContext(rows, kind, settings.languages, settings.phrases, base, learnt, prompt)
    told: dict[int, dict[str, Any]] = {}
    for rule in FILTERS:
        action = _action(rule, settings, kind)
        if action != "off":
            places = [place for place in rule.suspects(context).unique().sort() if place not in told]
            for place, row in zip(places, rows[places].iter_rows(named=True), strict=True):
                if found := rule.match(row, context):
                    told[place] = entry(row, ACTIONS[action], found[0], **found[1])
    _apply_own(rows, rules, told)
    gone = pl.Series(sorted(told), dtype=pl.UInt32)
    kept = rows.with_row_index("place").filter(~pl.col("place").is_in(gone.implode())).drop("place")
    return Outcome(kept, entries("filter", list(told.values())))


def _action(rule: Filter, settings: FilterSettings, kind: RowKind) -> Action:
    return settings.actions.get(rule.name) or ("off" if rule.of_answers and kind.answer_is_label else rule.action)


def _apply_own(rows: pl.DataFrame, rules: Sequence[OwnRule], told: dict[int, dict[str, Any]]) -> None:
    judges = [load_rule(rule) for rule in rules]
    for place, row in enumerate(rows.iter_rows(named=True)) if judges else ():
        if place not in told and (found := next((v for judge in judges if (v := judge(row))), None)):
            told[place] = entry(row, ACTIONS[found[0]], found[1], **found[2])
