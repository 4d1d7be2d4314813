"""A transformer of two layers and a few words, with random weights: what training does shows on it in a second."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertModel
from transformers.models.bert.tokenization_bert import BertTokenizer

WORDS = ["red", "blue", "green", "small", "large", "old", "new", "mug", "lamp", "chair", "shoe", "book", "pen", "bag"]


def tiny_encoder_write(folder: Path) -> str:
    """Write the encoder as a transformers folder and return its path, which FRESHET_ENCODER takes."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "words.txt").write_text("\n".join(vocabulary))
    BertTokenizer(vocab=str(folder / "words.txt"), model_max_length=32).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = BertConfig(
            vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=64, max_position_embeddings=32,
            initializer_range=0.2,  # wide, so that random vectors of different words differ
        )  # fmt: skip
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return str(folder)
