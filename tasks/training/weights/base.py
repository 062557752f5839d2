"""What a form of weights is: which weights are trained, and how they are kept.

A form is one file beside this one. It ends in `MEMBER`, an object that is a `Weights`, and has a class of its own
settings, which recipes write as `train: {weights: {form: NAME, ...}}`. No torch at the top of such a file: reading a
recipe imports it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from tasks.core.process.hardware import Machine
from tasks.core.settings import Settings


class WeightsSettings(Settings):
    """What the settings of every form have. A form's own class gives `form` its one value, the name of its file:
    `form: Literal["lora"] = "lora"`.
    """

    form: str


class Weights(Protocol):
    """A form of weights. title: what a person is told it is."""

    title: str
    settings: type[WeightsSettings]

    def learning_rate(self, hidden: int) -> float:
        """The peak rate where the recipe names none, for a model of this hidden size."""
        ...

    def load(self, base: Path, settings: Any, machine: Machine, longest: int) -> Any:
        """The base model in the folder `base`, ready to be trained. In the training process.

        The seed has been set. settings: of this form. longest: tokens of the longest row.
        """
        ...

    def save(self, model: Any, out: Path) -> None:
        """Write what was trained into the folder `out`, the same bytes for the same training. In the training process.

        A PEFT adapter (adapter_config.json and its weights): evaluation, registration and serving read it with
        PeftModel and merge it into the base as it lies on disk (tasks/model/generation.py).
        """
        ...
