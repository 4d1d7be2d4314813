"""Ways to train a query tower, for bench/robustness.py: options of the project, and two that are not.

R-Drop and AWP take the place of the loop's pass for gradients here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ranking.encoders import Encoder
from ranking.learning import train as loop
from ranking.learning.batches import Batch, collate
from ranking.learning.computing import computing
from ranking.learning.gradients import LossOf, backward
from ranking.relevance import Head

ALPHA = 1.0  # weight of R-Drop's divergence
GAMMA = 0.01  # how far AWP moves weights, as a share of their length: the paper's middle


class RDrop:
    """Two passes with dropout; the mean of their losses, and how far their rankings lie apart.

    Liang et al., "R-Drop: Regularized Dropout for Neural Networks", 2021.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        self.batch: Batch | None = None

    def collate(self, *given: Any, **more: Any) -> Batch:
        """As the loop's, and remember the batch."""
        self.batch = collate(*given, **more)
        return self.batch

    def backward(
        self, tower: Encoder, texts: Sequence[str], loss_of: LossOf, *, precision: Any, **more: Any
    ) -> tuple[float, list[Tensor]]:
        """Add the gradients of both passes."""
        tower.model.train(True)
        with computing(tower.device, precision):
            fed = [tower.query_text(text) for text in texts]
            one, two = (tower.forward(fed).float() for _ in range(2))
        tower.model.train(False)
        loss = (loss_of(one) + loss_of(two)) / 2
        first, second = self._rankings(one), self._rankings(two)
        apart = ((first.exp() - second.exp()) * (first - second)).sum(dim=1).mean() / 2
        (loss + ALPHA * apart).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), []

    def _rankings(self, vectors: Tensor) -> Tensor:
        """Logarithms of the softmax over the batch's products, (B, P)."""
        assert self.batch is not None
        dense = vectors[self.batch.text_of] @ self.batch.vectors.T
        return (self.head.dense * dense + self.head.lexical * self.batch.lexical).log_softmax(dim=1)


def awp(tower: Encoder, texts: Sequence[str], loss_of: LossOf, **more: Any) -> tuple[float, list[Tensor]]:
    """The gradients at the worst weights nearby.

    Wu, Xia and Wang, "Adversarial Weight Perturbation Helps Robust Generalization", 2020.
    """
    loss, _ = backward(tower, texts, loss_of, **more)
    moving = [parameter for parameter in tower.model.parameters() if parameter.grad is not None]
    held = [parameter.detach().clone() for parameter in moving]
    with torch.no_grad():
        for parameter in moving:
            assert parameter.grad is not None
            steep = torch.linalg.norm(parameter.grad)
            if steep > 0:
                parameter.add_(GAMMA * torch.linalg.norm(parameter) * parameter.grad / steep)
            parameter.grad = None
    backward(tower, texts, loss_of, **more)
    with torch.no_grad():
        for parameter, value in zip(moving, held, strict=True):
            parameter.copy_(value)
    return loss, []


@contextmanager
def taught(way: str, head: Head) -> Iterator[None]:
    """Let the loop find its gradients in a way of WAYS."""
    dropping = RDrop(head)
    put: Mapping[str, Mapping[str, Any]] = {
        "r_drop": {"collate": dropping.collate, "backward": dropping.backward},
        "awp": {"backward": awp},
    }
    for name, value in put.get(way, {}).items():
        setattr(loop, name, value)
    try:
        yield
    finally:
        loop.collate, loop.backward = collate, backward  # type: ignore[attr-defined]


# what each changes of the options; R-Drop and AWP are those above
WAYS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "fgm 0.01": {"adversarial": 0.01},
    "fgm 0.05": {"adversarial": 0.05},
    "fgm 0.2": {"adversarial": 0.2},
    "r_drop": {},
    "awp": {},
    "bf16": {"precision": "bf16"},
    "stop points": {"stop_points": 4},
}
