"""What a training method is: which rows it learns from, how it reads one, and the trainer that does it.

A method is one file beside this one. It ends in `MEMBER`, an object that is a `Method`, and has a class of its own
settings with `method: Literal["NAME"] = "NAME"`, the name of its file; their other keys stand among those of the
recipe's section `train: {method: NAME, ...}`. A file whose name begins with `_` is a helper of methods. No torch at the
top of such a file: reading a recipe imports it, and so does the flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.model.chat_template import PromptSettings, TokenizedExample
from tasks.training.settings import TrainSettings


@dataclass(frozen=True)
class TrainingData:
    """What a method's trainer is made with.

    rows, validation: datasets with the fields of its examples as columns, in the order that they are trained in;
    validation is None where there are no such rows. arguments: of transformers' TrainingArguments, to be passed on as
    they are: resume, early stopping and equal bytes rest on them. callbacks: to be given to the trainer.
    """

    rows: Any
    validation: Any
    arguments: Mapping[str, Any]
    callbacks: list[Any]


class Method(Protocol):
    """A training method. title: what a person is told it is. learns_from: names of row kinds
    (tasks/core/row_kind.py).
    """

    title: str
    settings: type[TrainSettings]
    learns_from: frozenset[str]

    def encode(self, tokenizer: Any, row: dict[str, Any], prompt: PromptSettings) -> TokenizedExample:
        """A curated row as what is learnt of it. In the flow, which counts the tokens of `input_ids`, and refuses a row
        that would be cut or in which no label counts. Raises DataError.

        For more than input_ids and labels (a rejected answer, say) return a subclass of Example: each of its fields
        becomes a column of the datasets.
        """
        ...

    def trainer(self, settings: Any, model: Any, tokenizer: Any, data: TrainingData) -> Any:
        """A transformers Trainer, made and not started. In the training process. settings: of this method."""
        ...
