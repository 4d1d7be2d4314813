"""The training loop of a minor version, to be read top to bottom. Same examples, parent, options and seed: same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.examples import Example
from ranking.learning.lora import adapter_attach, adapter_read
from ranking.learning.losses import LOSSES
from ranking.learning.options import TrainOptions


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter with a head whose slopes moved with it and whose intercepts did not yet; `losses` is one per step."""

    artefact: Artefact
    losses: list[float]


def train(
    *,
    frozen: Encoder,
    parent: Artefact,
    catalogue: CatalogueAt,
    examples: Sequence[Example],
    clicked_for: dict[str, set[int]],
    options: TrainOptions,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Trained:
    """Fine-tune the query tower's adapter and the head's slopes from the parent's; product vectors stay as they are."""
    teaching = [example for example in examples if example.teaches]
    steps = steps_of(len(teaching), options)
    if not steps:
        return Trained(parent, [])
    with torch_as(threads=options.threads, seed=seed):
        tower = adapter_attach(frozen, parent, options)
        tower.model.train(False)  # no dropout: what is trained is exactly what serves
        adapter = [parameter for parameter in tower.model.parameters() if parameter.requires_grad]
        slopes = torch.tensor([parent.head.dense, parent.head.lexical], device=tower.device)
        factors = torch.zeros(2, device=tower.device, requires_grad=True)  # logarithms: a slope never turns negative
        optimiser = torch.optim.AdamW(
            [
                {"params": adapter, "lr": options.learning_rate, "weight_decay": options.weight_decay},
                {"params": [factors], "lr": options.head_learning_rate, "weight_decay": 0.0},
            ]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps, options))
        batches = batches_of(teaching, steps * options.accumulate, options, seed)
        losses: list[float] = []
        for step in range(steps):
            total = 0.0
            for _ in range(options.accumulate):
                batch = collate(next(batches), catalogue, clicked_for, options, tower.device)
                with torch.autocast(tower.device.type, torch.bfloat16, enabled=tower.device.type == "cuda"):
                    queries = tower.forward([tower.query_text(text) for text in batch.texts])[batch.text_of]  # (B, D)
                dense = queries.float() @ batch.vectors.T  # (B, P)
                scores = torch.exp(factors[0]) * slopes[0] * dense + torch.exp(factors[1]) * slopes[1] * batch.lexical
                loss = LOSSES[options.loss](scores, batch.gains, batch.weights) / options.accumulate
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            torch.nn.utils.clip_grad_norm_([*adapter, factors], options.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            schedule.step()
            losses.append(total)
            progress((step + 1) / steps)
        tensors, how = adapter_read(tower)
        dense_slope, lexical_slope = (slopes * torch.exp(factors.detach())).tolist()
    head = replace(parent.head, dense=dense_slope, lexical=lexical_slope)
    return Trained(Artefact(head, tensors, how), losses)


@dataclass(frozen=True, slots=True)
class Batch:
    """B lists over the P products that any of them holds; weight 0 where a product says nothing about a list."""

    texts: list[str]
    text_of: Tensor  # (B,)
    vectors: Tensor  # (P, D)
    lexical: Tensor  # (B, P)
    gains: Tensor  # (B, P)
    weights: Tensor  # (B, P)


def collate(
    examples: Sequence[Example],
    catalogue: CatalogueAt,
    clicked_for: dict[str, set[int]],
    options: TrainOptions,
    device: torch.device,
) -> Batch:
    """Lay examples over their common products; those of other queries are negatives, unless clicked for this one too."""
    texts = sorted({example.text for example in examples})
    products = np.unique(np.concatenate([example.products for example in examples]))
    gains = np.zeros((len(examples), len(products)), dtype=np.float32)
    weights = np.full_like(gains, options.in_batch_weight)
    for row, example in enumerate(examples):
        weights[row, np.isin(products, sorted(clicked_for.get(example.key, set())))] = 0.0
        own = np.searchsorted(products, example.products)
        gains[row, own], weights[row, own] = example.gains, example.weights
    lexical = np.stack([catalogue.lexical(example.text)[products] for example in examples])
    return Batch(
        texts=texts,
        text_of=torch.tensor([texts.index(example.text) for example in examples], device=device),
        vectors=torch.from_numpy(catalogue.vectors[products]).to(device),
        lexical=torch.from_numpy(lexical).to(device),
        gains=torch.from_numpy(gains).to(device),
        weights=torch.from_numpy(weights).to(device),
    )


def steps_of(count: int, options: TrainOptions) -> int:
    """Steps for so many examples: a function of the range, never of the clock."""
    return min(options.most_steps, ceil(options.epochs * count / (options.batch * options.accumulate)))


def rate(step: int, steps: int, options: TrainOptions) -> float:
    """Share of the learning rate at a step: up over the warm-up, then down in a line."""
    rising = max(1, round(options.warm_up * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising + 1))


def batches_of(examples: Sequence[Example], count: int, options: TrainOptions, seed: int) -> Iterator[list[Example]]:
    """Yield `count` seeded batches. Of every eight drawn, texts of like length go together, so that little is padded."""
    rng = np.random.default_rng(seed)
    waiting: list[list[int]] = []
    order: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    for _ in range(count):
        if not waiting:
            while len(order) < 8 * options.batch:
                order = np.concatenate([order, rng.permutation(len(examples))])
            drawn, order = order[: 8 * options.batch], order[8 * options.batch :]
            alike = sorted(drawn.tolist(), key=lambda n: (len(examples[n].text), n))
            waiting = [alike[start : start + options.batch] for start in range(0, len(alike), options.batch)]
            rng.shuffle(waiting)
        yield [examples[n] for n in waiting.pop()]


@contextmanager
def torch_as(*, threads: int, seed: int) -> Iterator[None]:
    """Run torch on so many threads from a seed, and leave it as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
