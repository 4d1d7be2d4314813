"""The training loop of the shopper tower, to be read top to bottom: the next product given those before it.

Same courses, parent, options and seed: same tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ranking.history import Floats, pull
from ranking.learning.courses import Course
from ranking.learning.shopper_options import ShopperOptions
from ranking.learning.shopper_tower import Shape, ShopperTower, gaps_of, kinds_of, shopper_tower

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Batch:
    """B courses as they are fed, and their W steps to be foreseen, by place in (B, T) and by candidate."""

    rows: Tensor  # (B, T)
    kinds: Tensor  # (B, T)
    gaps: Tensor  # (B, T)
    places: Tensor  # (W,)
    candidates: Tensor  # (C,)
    wanted: Tensor  # (W,)
    gains: Tensor  # (W,)
    correction: Tensor  # (C,)


@dataclass(frozen=True, slots=True)
class ShopperTrained:
    """A tower and the loss of each step."""

    tower: ShopperTower
    losses: list[float]


def shopper_train(
    *, courses: Sequence[Course], vectors: Floats, parent: ShopperTower | None, options: ShopperOptions, seed: int
) -> ShopperTrained:
    """Train a tower, from the parent's on where there is one. `vectors` (N, D) stay as they are.

    Call it under `torch_as`, which seeds torch.
    """
    tower = _start(parent, vectors, options)
    steps = min(options.most_steps, ceil(options.epochs * len(courses) / options.batch))
    moved = [each for each in tower.parameters() if each is not tower.sharpness]
    optimiser = torch.optim.AdamW(
        [
            {"params": moved, "lr": options.learning_rate, "weight_decay": options.weight_decay},
            {"params": [tower.sharpness], "lr": options.sharpness_rate, "weight_decay": 0.0},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / max(1, steps))
    popularity = shares(courses, len(vectors))
    products = torch.from_numpy(vectors)  # (N, D)
    losses = []
    tower.train()
    for batch in batches_of(courses, popularity, steps, options, seed):
        wants = tower(products[batch.rows], batch.kinds, batch.gaps, dropout=options.dropout)  # (B, T, D)
        asked = wants.flatten(0, 1)[batch.places]  # (W, D)
        scores = tower.sharpness.exp() * asked @ products[batch.candidates].T  # (W, C)
        loss = sampled_softmax(scores, batch.wanted, batch.gains, batch.correction)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(tower.parameters(), options.clip)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return ShopperTrained(tower.train(False), losses)


def sampled_softmax(scores: Tensor, wanted: Tensor, gains: Tensor, correction: Tensor) -> Tensor:
    """Mean of -log softmax(scores + correction) of the one wanted of C candidates, each of W counting its gain, a scalar.

    `scores` (W, C), `wanted` and `gains` (W,), `correction` (C,). With a correction of -log of the chance that a
    candidate was drawn it is the softmax over all products, on average: Bengio and Senécal, "Adaptive Importance Sampling to
    Accelerate Training of a Neural Probabilistic Language Model", 2008.
    """
    losses = functional.cross_entropy(scores + correction, wanted, reduction="none")  # (W,)
    total = gains.sum()
    return (gains * losses).sum() / torch.where(total > 0, total, 1.0)


def shares(courses: Sequence[Course], products: int) -> Doubles:
    """Share of each product among all steps to be foreseen, (N,)."""
    counts = np.zeros(products)
    for course in courses:
        np.add.at(counts, course.rows[course.taught :], 1.0)
    return np.asarray(counts / max(1.0, counts.sum()))


def batches_of(
    courses: Sequence[Course], popularity: Doubles, count: int, options: ShopperOptions, seed: int
) -> Iterator[Batch]:
    """Yield `count` seeded batches; each course comes once before any comes twice."""
    rng = np.random.default_rng(seed)
    wanted = np.flatnonzero(popularity)
    order: list[int] = []
    for _ in range(count):
        while len(order) < options.batch and len(order) < len(courses):
            order += rng.permutation(len(courses)).tolist()
        drawn, order = order[: options.batch], order[options.batch :]
        negatives = rng.choice(wanted, size=min(options.negatives, len(wanted)), replace=False)
        yield collate([courses[n] for n in drawn], negatives, popularity, options)


def collate(
    courses: Sequence[Course], negatives: NDArray[np.int64], popularity: Doubles, options: ShopperOptions
) -> Batch:
    """Lay courses side by side, filled up at their ends; candidates are the products wanted by any, and the negatives.

    A candidate's logit is corrected by the chance that it is one, and by its popularity, of which the share
    `options.popularity` is then not the tower's to explain: the weight g knows what everybody wants.
    """
    longest = max(len(course.rows) - 1 for course in courses)
    rows, kinds, gaps = (np.zeros((len(courses), longest), dtype=np.int64) for _ in range(3))
    places, wanted, gains = [], [], []
    for n, course in enumerate(courses):
        fed = len(course.rows) - 1
        rows[n, :fed] = course.rows[:-1]
        kinds[n, :fed], gaps[n, :fed] = kinds_of(course.steps[:-1]), gaps_of(course.steps[:-1])
        places += [n * longest + at - 1 for at in range(course.taught, fed + 1)]
        wanted += course.rows[course.taught :].tolist()
        gains += [pull(step.kind) for step in course.steps[course.taught :]]
    candidates = np.union1d(negatives, wanted)
    share = popularity[candidates]
    drawn = 1 - (1 - len(negatives) / np.count_nonzero(popularity)) * (1 - share) ** len(wanted)
    correction = options.popularity * np.log(share) - np.log(drawn)
    return Batch(
        rows=torch.from_numpy(rows),
        kinds=torch.from_numpy(kinds),
        gaps=torch.from_numpy(gaps),
        places=torch.tensor(places),
        candidates=torch.from_numpy(candidates),
        wanted=torch.from_numpy(np.searchsorted(candidates, wanted)),
        gains=torch.tensor(gains, dtype=torch.float32),
        correction=torch.from_numpy(correction.astype(np.float32)),
    )


def _start(parent: ShopperTower | None, vectors: Floats, options: ShopperOptions) -> ShopperTower:
    if parent is not None:
        return shopper_tower(*parent.read())
    shape = Shape(
        dimensions=vectors.shape[1],
        width=options.width,
        layers=options.layers,
        heads=options.heads,
        decay=options.decay,
        residual=options.residual,
    )
    return ShopperTower(shape, centre=vectors.mean(axis=0), sharpness=options.sharpness)
