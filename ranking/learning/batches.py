"""Which examples come together in a step, and how they lie in a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranking.learning.calibrate import Encode
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.examples import Example
from ranking.learning.options import TrainOptions
from ranking.relevance import Head

TOGETHER = 8  # batches drawn at once: texts of like length then go together


@dataclass(frozen=True, slots=True)
class Batch:
    """B lists over the P products that any of them holds; weight 0 where a product says nothing about a list.

    `parent` is what the version before says of them, as logits.
    """

    texts: list[str]
    text_of: Tensor  # (B,)
    vectors: Tensor  # (P, D)
    lexical: Tensor  # (B, P)
    gains: Tensor  # (B, P)
    weights: Tensor  # (B, P)
    parent: Tensor  # (B, P)


def collate(
    examples: Sequence[Example],
    catalogue: CatalogueAt,
    clicked_for: dict[str, set[int]],
    options: TrainOptions,
    device: torch.device,
    *,
    parent: Head,
    before: Encode,
    among: NDArray[np.int64] | None = None,
) -> Batch:
    """Lay examples over their common products; those of other queries are negatives, unless clicked for this one too.

    `before` encodes queries by the parent's tower. `among`: products that are negatives instead of other queries' own,
    so that a list says nothing of any other.
    """
    texts = sorted({example.text for example in examples})
    held = [example.products for example in examples]
    products = np.unique(np.concatenate(held if among is None else [*held, among]))
    gains = np.zeros((len(examples), len(products)), dtype=np.float32)
    weights = np.full_like(gains, options.in_batch_weight)
    if among is not None:
        weights[:, ~np.isin(products, among)] = 0.0
    for row, example in enumerate(examples):
        weights[row, np.isin(products, sorted(clicked_for.get(example.key, set())))] = 0.0
        own = np.searchsorted(products, example.products)
        gains[row, own], weights[row, own] = example.gains, example.weights
    vectors = catalogue.vectors[products]  # (P, D)
    lexical = np.stack([catalogue.lexical(example.text)[products] for example in examples])
    said = np.stack([vectors @ before(example.text) for example in examples])
    return Batch(
        texts=texts,
        text_of=torch.tensor([texts.index(example.text) for example in examples], device=device),
        vectors=torch.from_numpy(vectors).to(device),
        lexical=torch.from_numpy(lexical).to(device),
        gains=torch.from_numpy(gains).to(device),
        weights=torch.from_numpy(weights).to(device),
        parent=torch.from_numpy((parent.dense * said + parent.lexical * lexical).astype(np.float32)).to(device),
    )


def batches_of(examples: Sequence[Example], count: int, options: TrainOptions, seed: int) -> Iterator[list[Example]]:
    """Yield `count` seeded batches. Of every eight, texts of like length go together, so that little is padded."""
    rng = np.random.default_rng(seed)
    size = options.batch * options.accumulate
    order = drawn(chances([example.key for example in examples], options.sampling_power), count * size, rng)
    for start in range(0, count * size, TOGETHER * size):
        alike = sorted(order[start : start + TOGETHER * size].tolist(), key=lambda n: (len(examples[n].text), n))
        together = [alike[at : at + size] for at in range(0, len(alike), size)]
        rng.shuffle(together)
        yield from ([examples[n] for n in batch] for batch in together)


def chances(keys: Sequence[str], power: float) -> NDArray[np.float64]:
    """How likely each example is drawn, (N,), summing to 1: 1 / count(its query's key)^power."""
    count = Counter(keys)
    found = np.array([count[key] ** -power for key in keys], dtype=np.float64)
    return np.asarray(found / found.sum())


def drawn(chance: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `count` numbers of examples, shuffled: each its chance · count times, rounded up or down.

    Systematic sampling: with equal chances each comes once before any comes twice. Madow and Madow, "On the Theory of
    Systematic Sampling", 1944.
    """
    mixed = rng.permutation(len(chance))
    points = (rng.random() + np.arange(count)) / count
    at = np.searchsorted(np.cumsum(chance[mixed]), points, side="right")
    found = mixed[np.minimum(at, len(chance) - 1)]  # the last sum may be a little below 1
    return np.asarray(rng.permutation(found), dtype=np.int64)
