"""Filter: one rule about rows that cannot teach, and FilterContext: all that a rule may look at.

A rule is one file beside this one that ends in `RULE = Filter(...)`, and one line in catalog.py; a file without `RULE`
is a helper of rules. empty.py is a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import polars as pl

from tasks.core.handle import Handle
from tasks.core.row import any_calls, any_tools, messages_of, with_calls
from tasks.core.row_kind import RowKind
from tasks.curation.filters.ending_habits import Habits, habits
from tasks.facts.base_model import ModelFacts
from tasks.model.chat_template import PromptSettings

Row = dict[str, Any]
ReasonAndEvidence = tuple[str, dict[str, Any]]  # reason, evidence
Action = Literal["drop", "quarantine", "off"]
REJECTED = "rejected"  # the role that a preference row's other answer has among its texts; its number is 0


@dataclass(frozen=True, eq=False)
class FilterContext:
    """All that rules look at. rows: the dataset or a part of it, sorted by row_id. languages, phrases, prompt: as the
    recipe states them. learnt: how answers of the whole dataset end; without it that is learned from `rows`.
    """

    rows: pl.DataFrame
    kind: RowKind
    languages: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    base: Handle | None = None
    learnt: Habits | None = None
    prompt: PromptSettings = field(default_factory=PromptSettings)
    # By row_id, of rows with tools, what unwritable.py found: tokens as trained, or why the template cannot write
    # the row.
    sizes: dict[str, int | str] = field(default_factory=dict)

    @cached_property
    def with_tools(self) -> pl.Series:
        """The positions of the rows that have tool calls, or tools on offer."""
        return any_tools(self.rows).arg_true().alias("row")

    @cached_property
    def texts(self) -> pl.DataFrame:
        """Every text, in order: row (its position in rows), number (of the message, from 1), role, text, taught.

        text: tool calls are part of it. taught: an answer that the model learns from. That is every assistant message
        whose weight is not 0.
        """
        size = pl.col("messages").list.len()
        turns = (
            with_calls(self.rows)
            .lazy()
            .select(
                row=pl.int_range(pl.len(), dtype=pl.UInt32),
                number=pl.int_ranges(1, size.cast(pl.Int64) + 1),
                message="messages",
                weight=pl.col("weights").fill_null(pl.lit(1.0).repeat_by(size)),
            )
        )
        message, role = pl.col("message").struct, pl.col("message").struct.field("role")
        text = message.field("content").fill_null("")
        exploded = turns.filter(pl.col("number").list.len() > 0).explode("number", "message", "weight")
        said = exploded.select(
            "row", "number", role=role, text=text, taught=(role == "assistant") & (pl.col("weight") != 0)
        )
        other = self.rows.lazy().select(
            row=pl.int_range(pl.len(), dtype=pl.UInt32),
            number=pl.lit(0, pl.Int64),
            role=pl.lit(REJECTED),
            text="rejected",
            taught=pl.lit(False),
        )
        return pl.concat([said, other.filter(pl.col("text").is_not_null())]).collect()

    @cached_property
    def most_tokens(self) -> int | None:
        """The most tokens that the base model holds; None when that is not known."""
        return ModelFacts.of(self.base).context if self.base else None

    @cached_property
    def habits(self) -> Habits:
        """How this dataset's answers end."""
        return self.learnt or habits(self.taught_answers)

    @cached_property
    def taught_answers(self) -> pl.DataFrame:
        """Texts of the answers that the model learns from."""
        return self.texts.filter("taught")

    @cached_property
    def written_answers(self) -> pl.DataFrame:
        """Of `taught_answers` those that are no tool calls."""
        if not any_calls(self.rows).any():
            return self.taught_answers
        turns = self.rows.select(row=pl.int_range(pl.len(), dtype=pl.UInt32), call="calls").drop_nulls().explode("call")
        made = turns.with_columns(number=pl.int_range(1, pl.len() + 1).over("row")).drop_nulls()
        return self.taught_answers.join(made, on=["row", "number"], how="anti", maintain_order="left")


@dataclass(frozen=True)
class Filter:
    """One rule: a way in which a row cannot teach.

    suspects: positions of the rows that may be meant, found by Polars, as few as is cheap; the same row may come twice.
    match: (reason, evidence) for a row that is, None for one that is not. action: what becomes of it, where the recipe
    says nothing else; drop is for what no person could mend, quarantine where one may see what the rule does not.
    of_answers: it is about written answers, so it is off where an answer is a label.
    """

    name: str
    suspects: Callable[[FilterContext], pl.Series]
    match: Callable[[Row, FilterContext], ReasonAndEvidence | None]
    action: Action
    of_answers: bool = False


def taught_answers(row: Row) -> Iterator[tuple[int, str, str]]:
    """Each answer that teaches: (number of the message from 1, its text, the message it answers)."""
    weights = row["weights"] or [1] * len(row["messages"])
    asked = ""
    for number, (message, weight) in enumerate(zip(messages_of(row), weights, strict=True), 1):
        if message["role"] == "assistant" and weight != 0:
            yield number, message["content"] or "", asked
        if message["role"] == "user":
            asked = message["content"] or ""


def written_answers(row: Row) -> Iterator[tuple[int, str, str]]:
    """Of `taught_answers` those that are no tool calls."""
    made = row.get("calls") or [None] * len(row["messages"])
    return ((number, text, asked) for number, text, asked in taught_answers(row) if made[number - 1] is None)


def texts_of_role(row: Row, role: str) -> Iterator[tuple[int, str]]:
    """Every message with this role: (number from 1, its text)."""
    return ((i, m["content"] or "") for i, m in enumerate(row["messages"], 1) if m["role"] == role)
