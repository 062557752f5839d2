"""Where a model can be padded, so that prompts of several lengths answered together are answered as each alone."""

from __future__ import annotations

from typing import Any, Literal

Place = Literal["between", "left", "nowhere"]
ATTENTION = ("full_attention", "sliding_attention", "chunked_attention")  # layers that keep no state of their own
BY_LENGTH = ("dynamic", "longrope")  # rotary embeddings that follow the longest prompt of a batch


def padding_place(model: Any) -> Place:
    """Where padding changes no answer, as far as the model's configuration tells.

    between: anywhere, so between a prefix that all prompts share and the rest of each; a token's distance to another
    must be told by its position, and every layer see all of the text. left: distance may be told by the place in the
    batch, as by a window or by ALiBi, which is right where all padding stands before the text. nowhere: of a model with
    a state that padding would enter, or whose positions follow the longest of a batch.
    """
    config = model.config.get_text_config()
    layers = getattr(config, "layer_types", None) or ["full_attention"]
    if getattr(model, "_is_stateful", False) or any(layer not in ATTENTION for layer in layers) or _by_length(config):
        return "nowhere"
    windows = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    seen = all(layer == "full_attention" for layer in layers) and not (windows and not _says_layers(config))
    chunks = getattr(config, "attention_chunk_size", None)
    rotary = getattr(config, "rope_parameters", None) and not getattr(config, "alibi", False)
    return "between" if seen and rotary and not chunks else "left"


def _says_layers(config: Any) -> bool:
    return bool(getattr(config, "layer_types", None))


def _by_length(config: Any) -> bool:
    """Whether any of the rotary embeddings, of which layers may have several, depends on a batch's length."""
    ropes = getattr(config, "rope_parameters", None) or {}
    found = [ropes, *(rope for rope in ropes.values() if isinstance(rope, dict))]
    return any(rope.get("rope_type", rope.get("type")) in BY_LENGTH for rope in found)
