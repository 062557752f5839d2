"""What training hands on. The training process says the same in its events, line by line
(tasks/training/trainer/spec.py).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from tasks.core.facts import Facts


class TokenCounts(Facts):
    """What there is to train on, as it was tokenised. rows, tokens, answer_tokens: of one epoch of the training split.

    longest: tokens of the longest row of both splits. cut_tokens: always 0: a row that does not fit stops the step.
    quoting_rows: in which somebody wrote a control token, which is text. unlearnt_answers: earlier ones that the chat
    template writes otherwise than a model would be prompted for them, so they are read and not learnt.
    """

    rows: int
    validation_rows: int
    tokens: int
    longest: int
    answer_tokens: int
    cut_tokens: int = 0
    quoting_rows: int = 0
    unlearnt_answers: int = 0


class Plan(TokenCounts):
    """What will be done, with what, and how long it should take: known before the first step.

    method, weights: how is learnt and what is trained, as a person is told of them; runs of before there was more than
    one of each have none.
    """

    method: str = "supervised fine-tuning"
    weights: str = "LoRA"
    trainable_parameters: int
    total_parameters: int
    trainable_share: float
    steps: int
    epochs: int
    effective_batch: int
    micro_batch: int
    learning_rate: float
    dtype: str
    device: str
    torch: str
    threads: int
    cores: int
    estimated_seconds: float


class Losses(Facts):
    """The training loss of a step, or the validation loss after it; the other is None, and not written."""

    step: int
    loss: float | None = None
    eval_loss: float | None = None

    @model_serializer(mode="wrap")
    def _known(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if value is not None}


class Actual(Facts):
    """What was done. best_step, best_eval_loss: None without validation rows."""

    seconds: float
    steps: int
    tokens_per_second: float
    padding_share: float
    best_step: int | None
    best_eval_loss: float | None
    stopped_early: bool
    resumed_from_step: int


class TrainingFacts(Facts):
    """What names an adapter beside its weights. settings: the resolved ones, by name."""

    history: list[Losses] = Field(default_factory=list)
    settings: dict[str, Any] = Field(default_factory=dict)


class TrainingTold(Facts):
    """What differs between runs that made the same adapter."""

    plan: Plan
    actual: Actual
