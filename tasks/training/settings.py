"""How to train: what the recipe's section `train` has for every method, read by the flow and by the training process.

A method's own class adds its keys (tasks/training/methods); what belongs to a form of weights stands in
`train.weights` (tasks/training/weights).
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Field, model_validator

from tasks.core.settings import Settings
from tasks.training.weights import WEIGHTS
from tasks.training.weights.base import WeightsSettings

MOST_SEED = 2**32 - 1  # numpy takes no more, which the trainer would find out after everything else


class TrainSettings(Settings):
    """How to train. The defaults follow "LoRA Without Regret" (Schulman et al., Thinking Machines,
    2025) unless said.
    """

    # How the model learns; a method's own class has its name here.
    method: str
    # What of the model is trained, with the keys of the form that is chosen.
    weights: Annotated[WeightsSettings, WEIGHTS] = Field(
        default_factory=lambda: cast(WeightsSettings, WEIGHTS.chosen()), validate_default=True
    )
    # On small sets two to four passes are usual; early stopping ends a run that stops learning.
    epochs: int = Field(default=3, ge=1, le=100)
    # Rows a step (effective batch). The study finds LoRA loses to full fine-tuning at large batches: stay under 32.
    batch_rows: int = Field(default=16, ge=1, le=512)
    # Peak rate. 0 takes what the form of weights is known to learn best at (tasks/training/weights).
    learning_rate: float = Field(default=0.0, ge=0.0, le=0.1)
    # Initial weights and the order of rows follow from it, and from nothing else.
    seed: int = Field(default=7, ge=0, le=MOST_SEED)
    # Validations an epoch; each is also a point that early stopping may return to.
    validations_per_epoch: int = Field(default=2, ge=1, le=20)
    # Validations without a better loss before training stops.
    patience: int = Field(default=3, ge=1, le=100)
    # Processes, one a GPU; more need as many GPUs.
    processes: int = Field(default=1, ge=1, le=64)
    # Threads of a process on a CPU. Another number sums in another order and ends in other last digits, so it stands
    # here and does not follow the machine's cores: the same recipe would make another adapter on each. A small machine
    # has two.
    threads: int = Field(default=2, ge=1, le=256)
    # The last two do not change what is learnt, so they are not part of the cache key (exclude): with another deadline
    # the same training goes on. Seconds between checkpoints: what a kill costs at most.
    checkpoint_seconds: float = Field(default=60.0, gt=0, exclude=True)
    # Minutes after which the child is ended; the next run goes on from its checkpoint.
    deadline_minutes: float = Field(default=720.0, gt=0, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _keys_of_lora(cls, given: Any) -> Any:
        """Recipes of before there were other forms of weights have LoRA's two keys beside the others; they mean the
        same as in `weights`, and are kept there.
        """
        weights = given.get("weights", {}) if isinstance(given, dict) else None
        if not isinstance(weights, dict) or not (old := {k: given[k] for k in ("rank", "alpha") if k in given}):
            return given
        if twice := sorted(old.keys() & weights.keys()):
            raise ValueError(f"{twice[0]} stands here and in weights")
        return {**{k: v for k, v in given.items() if k not in old}, "weights": {**weights, **old}}

    @model_validator(mode="after")
    def _rows_for_each_process(self) -> TrainSettings:
        if self.batch_rows % self.processes:
            raise ValueError(f"batch_rows {self.batch_rows} is not a multiple of processes {self.processes}")
        return self

    def members(self) -> tuple[str, ...]:
        """The files of the chosen method and of the chosen form of weights."""
        return type(self).__module__, type(self.weights).__module__
