"""The rule by which `watch` starts a training run, as the recipe sets it, and what it says of the
figures of one look.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from tasks.core.settings import Settings
from tasks.facts.watched import CompareFacts, RescoreFacts


class WatchSettings(Settings):
    """When new rows are worth a training run. Each number set to 0 takes its rule out."""

    # Rows that training would have more (after dedupe, and decisions by reviewers with them), as a share of those the
    # champion learnt from. Less than a tenth more of the same kind moves a score by less than a holdout of a few
    # hundred rows can show.
    grown_by: float = Field(default=0.1, ge=0)
    # Of a new kind a few rows matter; but of fewer than fifty new rows no test here can tell chance from change.
    least_rows: int = Field(default=50, ge=1)
    # How often a look at rows like the old ones may call chance a drift, all its tests together; the effects below are
    # asked for as well.
    significance: float = Field(default=0.01, gt=0, le=0.2)
    # What counts as drift (tasks/metrics/drift.py says how each is measured). Measured on the example's messages:
    # batches of its own rows reach 0.016 bits of words, one topic alone 0.08, another language 0.8.
    length_effect: float = Field(default=0.2, ge=0, le=1)
    word_effect: float = Field(default=0.05, ge=0, le=1)
    label_effect: float = Field(default=0.15, ge=0, le=1)
    # Share of new rows with a label that the champion has never seen: one in fifty is no slip of the pen.
    new_label_share: float = Field(default=0.02, ge=0, le=1)
    # How far below the registered figure the champion may be on new rows, the whole interval. Their labels are as they
    # came, wrong ones too, and the holdout's are not: a tenth of wrong labels costs the best model a tenth.
    accuracy_drop: float = Field(default=0.1, ge=0, le=1)
    # The newest rows asked, at most: 200 give an interval of about +-5 points, in a minute or two on two cores.
    scored_rows: int = Field(default=200, ge=0, le=100_000)
    # New rows that break the contract: hold waits for a person, since retrain would stop at the same contract or train
    # on them.
    broken_contract: Literal["hold", "start"] = "hold"


@dataclass(frozen=True)
class RetrainDecision:
    """What the rule says. reasons: why to start, each in a sentence, by what it is about; held: why
    not, for a person.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    held: str = ""

    @property
    def start(self) -> bool:
        return bool(self.reasons) and not self.held


def decide_retrain(
    settings: WatchSettings, trained: int, more: int, compared: CompareFacts | None, scored: RescoreFacts | None
) -> RetrainDecision:
    """The rule. trained: rows the champion learnt from; more: what would come to them, people's decisions among it.

    compared, scored: the facts of compare and rescore; None where there was nothing to compare, or to score.
    """
    reasons: dict[str, str] = {}
    if settings.grown_by and trained and more >= max(1, settings.grown_by * trained):
        reasons["more rows"] = f"{more:,} rows more than the {trained:,} it learnt from ({more / trained:+.0%})"
    reasons |= {c.what: c.told for c in compared.comparisons if c.found} if compared else {}
    if scored and scored.below:
        reasons["accuracy"] = scored.told
    broken = compared.broken if compared else ""
    if broken and settings.broken_contract == "start":
        return RetrainDecision({**reasons, "contract": broken})
    return RetrainDecision(reasons, broken)
