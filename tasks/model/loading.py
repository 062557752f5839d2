"""The one way a model folder is loaded: what it holds is data, and no Python in it is run.

Without `trust_remote_code=False` transformers asks on the terminal, in the middle of a run, whether it may.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_tokenizer(folder: Path | str, **settings: Any) -> Any:
    """The tokenizer of a model folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **settings)


def load_weights(folder: Path | str, **settings: Any) -> Any:
    """The model of a folder as one that writes text. settings: of from_pretrained."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False, **settings)
