"""How to train: the recipe's section `train`, read by the flow and by the training process."""

from __future__ import annotations

from pydantic import Field, model_validator

from tasks.core.settings import Settings

MOST_SEED = 2**32 - 1  # numpy takes no more, which the trainer would find out after everything else


class TrainSettings(Settings):
    """How to train. The defaults follow "LoRA Without Regret" (Schulman et al., Thinking Machines,
    2025) unless said.
    """

    # On small sets two to four passes are usual; early stopping ends a run that stops learning.
    epochs: int = Field(default=3, ge=1, le=100)
    # Rows a step (effective batch). The study finds LoRA loses to full fine-tuning at large batches: stay under 32.
    batch_rows: int = Field(default=16, ge=1, le=512)
    # Peak rate. 0 takes the study's fit for LoRA, 10 times full fine-tuning's: 5e-4 * (2000 / hidden size) ** 0.78.
    learning_rate: float = Field(default=0.0, ge=0.0, le=0.1)
    # Rank matters little on small sets; 16 is ample for hundreds to thousands of rows.
    rank: int = Field(default=16, ge=1, le=512)
    # The study's alpha; the update is scaled by alpha / rank.
    alpha: int = Field(default=32, ge=1, le=1024)
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

    @model_validator(mode="after")
    def _rows_for_each_process(self) -> TrainSettings:
        if self.batch_rows % self.processes:
            raise ValueError(f"batch_rows {self.batch_rows} is not a multiple of processes {self.processes}")
        return self
