"""The shopper tower: from a history to a unit vector among the product vectors, near what the shopper wants next.

A small causal transformer over the frozen vectors of the products (SASRec: Kang and McAuley, "Self-Attentive Sequential
Recommendation", 2018), each with what was done and how long after the one before. It adds to the decayed mean of the
history, and untrained it adds nothing: so it is of use from the first interaction on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from feedback.events import INTERACTION_KINDS
from ranking.history import LENGTH, Floats, History, Step, pull

GAPS = 16  # buckets of the time since the step before: none, then each four times as long, up to years
KIND_NUMBER: Mapping[str, int] = {kind: number for number, kind in enumerate(INTERACTION_KINDS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a tower's tensors do not say themselves."""

    dimensions: int
    width: int = 64
    layers: int = 1
    heads: int = 2
    length: int = LENGTH
    decay: float = 0.8  # of a step's pull on the mean, for each step that came after it
    residual: float = 1.0  # what is added to the mean counts so much


class Block(nn.Module):
    """One layer: each step looks at those before it, then is thought over."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look, self.gather = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think, self.conclude = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, dropout: float) -> Tensor:
        batch, length, width = x.shape
        asked = self.look(self.before(x)).view(batch, length, 3, self.heads, width // self.heads)  # (B, T, 3, h, W/h)
        query, key, value = asked.permute(2, 0, 3, 1, 4)  # (B, h, T, W/h) each
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)  # (B, h, T, W/h)
        seen = self.gather(seen.transpose(1, 2).reshape(batch, length, width))  # (B, T, W)
        x = x + functional.dropout(seen, dropout, self.training)
        thought = self.conclude(functional.gelu(self.think(self.between(x))))  # (B, T, W)
        return x + functional.dropout(thought, dropout, self.training)


class ShopperTower(nn.Module):
    """`centre` (D,) is what all product vectors have in common: it says nothing of what one shopper likes.

    `sharpness` is the logarithm of what cosines are multiplied by in training.
    """

    centre: Tensor
    pulls: Tensor

    def __init__(self, shape: Shape, *, centre: Floats | None = None, sharpness: float = 1.0) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        middle = np.zeros(shape.dimensions, dtype=np.float32) if centre is None else centre
        self.register_buffer("centre", torch.from_numpy(middle.astype(np.float32)))
        self.register_buffer("pulls", torch.tensor([pull(kind) for kind in INTERACTION_KINDS]))
        self.enter = nn.Linear(shape.dimensions, width)
        self.kinds, self.gaps = nn.Embedding(len(INTERACTION_KINDS), width), nn.Embedding(GAPS, width)
        self.places = nn.Embedding(shape.length, width)
        self.blocks = nn.ModuleList(Block(width, shape.heads) for _ in range(shape.layers))
        self.settle = nn.LayerNorm(width)
        self.leave = nn.Linear(width, shape.dimensions, bias=False)
        nn.init.zeros_(self.leave.weight)
        for each in (self.kinds, self.gaps, self.places):
            nn.init.normal_(each.weight, std=0.02)
        self.sharpness = nn.Parameter(torch.tensor(log(sharpness)))

    def forward(self, vectors: Tensor, kinds: Tensor, gaps: Tensor, *, dropout: float = 0.0) -> Tensor:
        """What the shopper wants after each step, unit vectors (B, T, D), from (B, T, D), (B, T) and (B, T).

        Each depends on its step and those before it alone, so padding at the end changes nothing before it.
        """
        own = vectors - self.centre  # (B, T, D)
        mean = functional.normalize(self._decay(kinds) @ own, dim=2)  # (B, T, D)
        # normalised: what vectors have in common takes most of their length
        x = self.enter(functional.normalize(own, dim=2)) + self.kinds(kinds) + self.gaps(gaps)  # (B, T, W)
        x = functional.dropout(x + self.places.weight[: x.shape[1]], dropout, self.training)
        for block in self.blocks:
            x = block(x, dropout)
        return functional.normalize(mean + self.shape.residual * self.leave(self.settle(x)), dim=2)

    def _decay(self, kinds: Tensor) -> Tensor:
        """How much each step (column) pulls on the mean after each step (row), (B, T, T)."""
        steps = torch.arange(kinds.shape[1], device=kinds.device)
        since = steps[:, None] - steps[None, :]  # (T, T)
        left = torch.where(since >= 0, self.shape.decay ** since.clamp(min=0), 0.0)  # (T, T)
        return left * self.pulls[kinds][:, None, :]

    def vector(self, history: History) -> NDArray[np.float64] | None:
        """The shopper's unit vector now, (D,); None when the history holds nothing that was wanted."""
        steps = history.steps[-self.shape.length :]
        if not any(pull(step.kind) for step in steps):
            return None
        kinds, gaps = (torch.tensor([each]) for each in (kinds_of(steps), gaps_of(steps)))
        with torch.inference_mode():
            vectors = torch.from_numpy(history.vectors[-len(steps) :])[None]  # (1, T, D)
            wants: Tensor = self(vectors, kinds, gaps)[0, -1]
        return np.asarray(wants.numpy(), dtype=np.float64)

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Its tensors and its shape, as an artefact keeps them."""
        return {name: each.detach().clone() for name, each in self.state_dict().items()}, asdict(self.shape)


def shopper_tower(tensors: Mapping[str, Tensor], shape: Mapping[str, Any]) -> ShopperTower:
    """The tower of an artefact, ready to serve."""
    tower = ShopperTower(Shape(**shape))
    tower.load_state_dict(dict(tensors))
    return tower.train(False)


def kinds_of(steps: Sequence[Step]) -> list[int]:
    """What was done, as numbers, (T,)."""
    return [KIND_NUMBER[step.kind] for step in steps]


def gaps_of(steps: Sequence[Step]) -> list[int]:
    """Buckets of the time since the step before, (T,); 0 for the first one, and a clock that ran back counts as no time."""
    found = [0]
    for before, step in pairwise(steps):
        seconds = max(0.0, step.at - before.at)
        found.append(1 + min(GAPS - 2, int(log(1.0 + seconds, 4))))
    return found[: len(steps)]
