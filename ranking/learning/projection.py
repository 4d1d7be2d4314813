"""A projection behind the query tower: the lightest adapter, which moves vectors and leaves the transformer as it is.

What shoppers of a shop want beyond their words is mostly the same for all queries (the thing itself and no accessory for
it): one shift of every query learns it, and a low-rank map what depends on the query. Few numbers, drawn to nothing by a
ridge, carry over to queries nobody asked. Vectors of the frozen tower stay useful: no query is encoded again for a version.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from cachetools import LRUCache
from torch import Tensor, nn

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact
from ranking.learning.options import TrainOptions
from ranking.learning.trainable import Read, Trainable, kept

KIND = "projection"


class Projection(nn.Module):
    """v' = (v + shift + v · down · up), as long as v was; a new one changes nothing, not even a bit."""

    def __init__(self, dimensions: int, rank: int, device: torch.device) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(dimensions, device=device))
        self.down = nn.Parameter(torch.randn(dimensions, rank).to(device) / dimensions**0.5)
        self.up = nn.Parameter(torch.zeros(rank, dimensions, device=device))

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D) to (B, D)."""
        moved = vectors + self.shift + (vectors @ self.down) @ self.up  # (B, D)
        length = torch.linalg.norm(vectors, dim=-1, keepdim=True)  # (B, 1)
        found: Tensor = moved * (length / torch.linalg.norm(moved, dim=-1, keepdim=True))
        return found


REMEMBERED = 20_000  # frozen vectors that a trainer keeps from version to version, 31 MB of e5: most queries come again
_known: LRUCache[tuple[str, str, int], Tensor] = LRUCache(REMEMBERED)


def vectors_forget() -> None:
    """Forget all frozen vectors, as a process that has just started."""
    _known.clear()


class Remembering(Encoder):
    """A tower in training: the frozen vector of each text is made once, as searches make it (fp32, one at a time)."""

    def __init__(self, frozen: Encoder, projection: Projection | None = None) -> None:
        below = not_remembering(frozen)
        vars(self).update(vars(below) | {"projection": projection, "below": below})

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (B, D), with gradients of the projection."""
        found = torch.stack([self._frozen(text) for text in texts])
        return self.projected_all(found)

    def _frozen(self, text: str) -> Tensor:
        key = (self.fingerprint, text, torch.get_num_threads())  # sums depend on how they are split
        vector = _known.get(key)
        if vector is None:
            with torch.inference_mode(mode=False), torch.no_grad():  # also where it is first asked for in inference
                vector = _known[key] = self.pool_texts([text])[0]
        return vector


def not_remembering(encoder: Encoder) -> Encoder:
    """The encoder itself: what moves the transformer must not be given vectors of another one."""
    found: Encoder = vars(encoder).get("below", encoder)
    return found


def frozen_in_training(frozen: Encoder, parent: Artefact, options: TrainOptions) -> Encoder:
    """The encoder to train a version with: where only its vectors move, one that remembers them."""
    kind = parent.adapter["kind"] if parent.tensors else options.adapter
    return Remembering(frozen) if kind == KIND else frozen


def projection(frozen: Encoder, parent: Artefact, options: TrainOptions, steps: int) -> Trainable:
    """A shift and a map of rank `rank`, drawn to nothing by `ridge`. Raises ValueError for adversarial training."""
    if options.adversarial:
        raise ValueError(
            "adversarial training moves word embeddings, which a projection leaves as they are: adapter=lora"
        )
    rank = int(parent.adapter["rank"]) if parent.tensors else options.rank
    made = _filled(Projection(frozen.dimensions, rank, frozen.device), parent)
    own = dict(made.named_parameters())

    def read() -> Read:
        return {f"{KIND}.{name}": kept(tensor) for name, tensor in own.items()}, {"kind": KIND, "rank": rank}

    def regularise() -> None:
        squares = torch.stack([parameter.square().sum() for parameter in own.values()])
        (options.ridge * squares.sum()).backward()  # type: ignore[no-untyped-call]

    return Trainable(
        Remembering(frozen, made),
        list(own.values()),
        read,
        regularise,
        decays=False,
        learning_rate=options.projection_rate,
    )


def projection_put(frozen: Encoder, artefact: Artefact) -> Encoder:
    """Put the artefact's projection behind the encoder."""
    tower = copy.copy(frozen)
    made = _filled(Projection(frozen.dimensions, int(artefact.adapter["rank"]), frozen.device), artefact)
    tower.projection = made.requires_grad_(False)
    return tower


def _filled(made: Projection, artefact: Artefact) -> Projection:
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if artefact.tensors:
                parameter.copy_(artefact.tensors[f"{KIND}.{name}"])
    return made
