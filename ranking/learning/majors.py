"""The training loop of a major version: both towers, in one process or in several, with the same gradients.

Every process encodes its share of a batch, gathers everybody's vectors, computes the loss of the whole batch and carries
its own share back through its towers; gradients are then summed. So N processes make the step that one would make.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ranking.encoders import Encoder
from ranking.learning.computing import computing
from ranking.learning.losses import info_nce
from ranking.learning.major_options import MajorOptions
from ranking.learning.train import torch_as

ALIKE = 16  # texts of like length that are padded together: a batch of 32 in one piece takes 1.6 times as long


@dataclass(frozen=True, slots=True)
class Pairing:
    """A query, the product it wanted, and products it did not want: texts as product_text makes them.

    `wanted` names all products that this query ever wanted: they are nobody's negatives here.
    """

    query: str
    products: tuple[str, ...]
    product_ids: tuple[str, ...]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class MajorTrained:
    """Losses, one a step, and the parameters that moved, on the CPU in fp32."""

    losses: list[float]
    query: dict[str, Tensor]
    product: dict[str, Tensor]


class IndivisibleBatch(ValueError):
    """The batch cannot be parted equally among the processes."""


def train_major(
    *,
    query: Encoder,
    product: Encoder,
    scale: float,
    pairings: Sequence[Pairing],
    options: MajorOptions,
    seed: int,
    accelerator: Accelerator | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> MajorTrained:
    """Fine-tune both towers in place by InfoNCE of `scale` · cosine; same pairings, options and seed: same weights.

    Raises IndivisibleBatch.
    """
    processes = accelerator or Accelerator()
    if options.batch % processes.num_processes:
        raise IndivisibleBatch(f"{processes.num_processes} processes cannot share batches of {options.batch} equally")
    steps = min(options.most_steps, ceil(options.epochs * len(pairings) / options.batch))
    with torch_as(threads=options.threads, seed=seed):
        moving = [*_moving(query, words=options.words).values(), *_moving(product, words=options.words).values()]
        optimiser = torch.optim.AdamW(moving, lr=options.learning_rate, weight_decay=options.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, options.warm_up))
        losses = []
        for step, drawn in enumerate(_draws(pairings, steps=steps, batch=options.batch, seed=seed), start=1):
            loss = _backward(query, product, drawn, scale=scale, options=options, processes=processes)
            if processes.num_processes > 1:
                for parameter in moving:
                    if parameter.grad is None:
                        parameter.grad = torch.zeros_like(parameter)
                    parameter.grad = processes.reduce(parameter.grad, reduction="sum")
            torch.nn.utils.clip_grad_norm_(moving, options.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            schedule.step()
            losses.append(loss)
            progress(step / steps)
    return MajorTrained(losses, _read(query), _read(product))


def _moving(tower: Encoder, *, words: bool) -> dict[str, nn.Parameter]:
    """Let a tower's parameters learn; no dropout, so that what is trained is exactly what serves."""
    tower.model.train(False)
    embedded = tower.model.get_input_embeddings().weight
    for parameter in tower.model.parameters():
        parameter.requires_grad_(words or parameter is not embedded)
    return {name: parameter for name, parameter in tower.model.named_parameters() if parameter.requires_grad}


def _read(tower: Encoder) -> dict[str, Tensor]:
    return {name: parameter.detach().float().cpu().clone()
            for name, parameter in tower.model.named_parameters() if parameter.requires_grad}  # fmt: skip


def _rate(step: int, steps: int, warm_up: float) -> float:
    rising = max(1, round(warm_up * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising + 1))


def _draws(pairings: Sequence[Pairing], *, steps: int, batch: int, seed: int) -> list[list[Pairing]]:
    """Full batches, each pass in an order of its own."""
    rng, stream = random.Random(seed), list[Pairing]()
    while len(stream) < steps * batch:
        stream += rng.sample(list(pairings), len(pairings))
    return [stream[step * batch : (step + 1) * batch] for step in range(steps)]


def _backward(
    query: Encoder, product: Encoder, drawn: Sequence[Pairing], *, scale: float, options: MajorOptions, processes: Accelerator
) -> float:  # fmt: skip
    """Add this process's share of the gradients of the whole batch's loss to both towers; return that loss.

    With more texts than `at_once`, vectors come first without activations, then each chunk again with them: Gao et al.,
    "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021.
    """
    share = len(drawn) // processes.num_processes
    own = drawn[processes.process_index * share : (processes.process_index + 1) * share]
    asked = [query.query_text(each.query) for each in own]
    offered = [product.product_text(text) for each in own for text in each.products]
    sides = ((query, asked), (product, offered))
    at_once = len(asked) + len(offered) <= options.at_once
    with torch.set_grad_enabled(at_once):
        mine = [encoded(tower, texts, options) for tower, texts in sides]
    queries, products = (processes.gather(vectors.detach().contiguous()).requires_grad_() for vectors in mine)
    gains, weights = _labels(drawn, queries.device)
    loss = info_nce(scale * queries @ products.T, gains, weights)
    loss.backward()  # type: ignore[no-untyped-call]
    for (tower, texts), vectors, everybodys in zip(sides, mine, (queries, products), strict=True):
        assert everybodys.grad is not None
        start = processes.process_index * len(texts)
        pull = everybodys.grad[start : start + len(texts)]
        if at_once:
            vectors.backward(pull)  # type: ignore[no-untyped-call]
        else:
            _carry_back(tower, texts, pull, options)
    return float(loss.detach())


def _labels(drawn: Sequence[Pairing], device: torch.device) -> tuple[Tensor, Tensor]:
    """Gains and weights (B, B · P): the first product of a query's own is wanted, what it wanted elsewhere says nothing."""
    ids = [product_id for each in drawn for product_id in each.product_ids]
    gains, weights = torch.zeros(len(drawn), len(ids)), torch.ones(len(drawn), len(ids))
    first = 0
    for row, each in enumerate(drawn):
        weights[row, [column for column, product_id in enumerate(ids) if product_id in each.wanted]] = 0.0
        gains[row, first], weights[row, first] = 1.0, 1.0
        first += len(each.product_ids)
    return gains.to(device), weights.to(device)


def _chunks(texts: Sequence[str], size: int) -> list[list[int]]:
    """Row numbers in chunks of like length, so that little is padded."""
    order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
    return [order[start : start + size] for start in range(0, len(order), size)]


def encoded(tower: Encoder, texts: Sequence[str], options: MajorOptions) -> Tensor:
    """Vectors (B, D) of texts that already carry their prefix, in their order, computed in batches of like length."""
    chunks = _chunks(texts, min(ALIKE, options.at_once))
    with computing(tower.device, options.precision):
        found = torch.cat([tower.forward([texts[row] for row in chunk]).float() for chunk in chunks])
    order = torch.tensor([row for chunk in chunks for row in chunk], device=tower.device)
    return found[torch.argsort(order)]


def _carry_back(tower: Encoder, texts: Sequence[str], pull: Tensor, options: MajorOptions) -> None:
    for chunk in _chunks(texts, min(ALIKE, options.at_once)):
        with computing(tower.device, options.precision):
            vectors = tower.forward([texts[row] for row in chunk]).float()
        vectors.backward(pull[chunk])  # type: ignore[no-untyped-call]
