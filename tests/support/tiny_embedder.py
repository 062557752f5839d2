"""An embedding model for tests: a BERT of one layer that knows eight words, whatever their case and accents, and no
meaning.
"""

from __future__ import annotations

from pathlib import Path

WORDS = ["where", "is", "my", "order", "cafe", "the", "please", "hi"]


def tiny_bert(folder: Path) -> str:
    """Write the model; returns its folder, as a recipe names it."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    BertTokenizerFast(vocab=vocabulary, model_max_length=16).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return str(folder)
