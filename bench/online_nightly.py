"""The peer of bench/online_learning.py: what teams do otherwise, a fine-tuning of the encoder on the clicks of the day.

sentence-transformers at its defaults (in-batch negatives, one epoch, both towers), then the whole catalogue is encoded
again; ŷ is computed by the same head from the new cosines and the same lexical evidence.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from ranking.encoders import Encoder, product_text
from ranking.learning.catalogue import CatalogueAt
from ranking.relevance import Head, relevance

Floats = NDArray[np.float32]
BATCH = 32


class Nightly:
    """A model that goes on from what it was with the clicks since its last time, and the catalogue's vectors under it."""

    def __init__(self, encoder: Encoder, head: Head, words: CatalogueAt, vectors: Floats) -> None:
        self._encoder, self._head, self._words, self._vectors = encoder, head, words, vectors
        self._texts = [encoder.product_text(product_text(orjson.loads(content))) for content in words.contents]
        self._model = peer_model(encoder)
        self._asked: dict[str, Floats] = {}

    def train(self, clicks: Sequence[tuple[str, str]]) -> None:
        """Fine-tune on clicks (query, product id), one epoch, and encode the catalogue again."""
        rows = self._words.rows
        known = [(query, rows[product]) for query, product in clicks if product in rows]
        pairs = Dataset.from_dict({
            "anchor": [self._encoder.query_text(query) for query, _ in known],
            "positive": [self._texts[row] for _, row in known],
        })  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            options = SentenceTransformerTrainingArguments(
                output_dir=folder, num_train_epochs=1, per_device_train_batch_size=BATCH, save_strategy="no",
                report_to="none", disable_tqdm=True, seed=1, logging_strategy="no", bf16=True,
                use_cpu=not torch.cuda.is_available(),
                batch_sampler=BatchSamplers.NO_DUPLICATES,
            )  # fmt: skip
            trainer = SentenceTransformerTrainer(
                model=self._model, args=options, train_dataset=pairs, loss=MultipleNegativesRankingLoss(self._model)
            )
            trainer.train()
        self._model.eval()
        self._vectors, self._asked = self._encode(self._texts), {}

    def rank(self, query: str) -> list[str]:
        """All products, best first."""
        if query not in self._asked:
            self._asked[query] = self._encode([self._encoder.query_text(query)])[0]
        vector = self._asked[query]
        y = relevance(self._vectors @ vector, self._words.lexical(query), self._head, "query")
        return [self._words.product_ids[row] for row in np.argsort(-y, kind="stable")]

    def _encode(self, texts: Sequence[str]) -> Floats:
        with torch.autocast("cpu", torch.bfloat16, enabled=len(texts) > 1):
            found: Any = self._model.encode(
                list(texts), batch_size=64, show_progress_bar=len(texts) > 1, convert_to_numpy=True
            )
        return np.asarray(found, dtype=np.float32)


def peer_model(encoder: Encoder) -> SentenceTransformer:
    """The same checkpoint, with the same pooling."""
    source = str(Path(encoder.pretrained.source))
    body = Transformer(source, max_seq_length=encoder.max_tokens)
    pooling = Pooling(encoder.dimensions, pooling_mode=encoder.pretrained.pooling)
    return SentenceTransformer(modules=[body, pooling, Normalize()], device=str(encoder.device))
