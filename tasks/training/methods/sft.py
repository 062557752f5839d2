"""Supervised fine-tuning: the loss counts on the answers' tokens and nowhere else."""

from __future__ import annotations

from typing import Any, Literal

from tasks.core.row import tools_of, turns
from tasks.core.row_kind import CLASSIFICATION, SFT
from tasks.model.chat_template import PromptSettings, TokenizedExample, encode
from tasks.training.methods.base import TrainingData
from tasks.training.settings import TrainSettings


class SftSettings(TrainSettings):
    """It has no keys of its own."""

    method: Literal["sft"] = "sft"


class SupervisedFineTuning:
    """Learn to answer as the rows do."""

    title = "supervised fine-tuning"
    settings = SftSettings
    learns_from = frozenset({SFT.name, CLASSIFICATION.name})

    def encode(self, tokenizer: Any, row: dict[str, Any], prompt: PromptSettings) -> TokenizedExample:
        """The whole conversation, with labels on the assistant turns that teach."""
        return encode(tokenizer, turns(row), prompt, row.get("weights"), tools_of(row["meta"]))

    def trainer(self, settings: SftSettings, model: Any, tokenizer: Any, data: TrainingData) -> Any:
        """TRL's trainer, with the output layer computed where an answer may be."""
        from trl import SFTConfig

        from tasks.training.answer_trainer import AnswerTrainer

        return AnswerTrainer(
            model=model,
            # Nothing is ever cut here: tasks/training/train.py refused rows that do not fit.
            args=SFTConfig(**data.arguments, shuffle_dataset=False, max_length=None),
            processing_class=tokenizer,
            train_dataset=data.rows,
            eval_dataset=data.validation,
            callbacks=data.callbacks,
        )


MEMBER = SupervisedFineTuning()
