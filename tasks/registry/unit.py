"""The registered unit: everything that decides what a served model answers, as one value with one digest.

It travels inside the model as unit.json. Evaluation measured these values and serving takes them from there, never from
the recipe, the environment or the newest file of that name. It names no path of the machine that made it.
"""

from __future__ import annotations

from tasks.core.home import digest_json
from tasks.core.settings import Settings
from tasks.model.chat_template import PromptSettings

UNIT = "unit.json"


class Base(Settings):
    """The base model. digest: sha256 of its folder of safetensors and tokenizer, the same on every machine."""

    # Where to get it: a hub id, or package:<module>/<file>. Of a local path only the name is kept, to tell a person.
    source: str
    revision: str
    digest: str
    parameters: int


class Unit(Settings):
    """What is registered and served. prompt: resolved, so nothing in it is left to a default of the base model."""

    base: Base
    adapter: str  # sha256 of the PEFT folder
    dataset: str  # digest of the curated dataset that the adapter learnt from
    prompt: PromptSettings
    code: str  # digest of our source files that serve it
    requirements: tuple[str, ...]
    assay: str

    @property
    def digest(self) -> str:
        """sha256 of all of it: the same unit is never registered twice."""
        return digest_json(self.model_dump(mode="json"))
