"""The average of weights over the steps: what is calibrated, judged and served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Average:
    """Exponential average of tensors, without bias towards where they started.

    a_t = (d a_{t-1} + (1 - d) θ_t), divided by 1 - d^t: after one step it is θ_1. Polyak and Juditsky, "Acceleration of
    Stochastic Approximation by Averaging", 1992; the correction as in Kingma and Ba, "Adam", 2015, section 3. With d = 0
    it is the tensors as they are.
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float) -> None:
        self.tensors, self.decay, self.steps = list(tensors), decay, 0
        self._sums = [torch.zeros_like(tensor) for tensor in self.tensors] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Take in the tensors as they are after a step."""
        self.steps += 1
        if self.decay:
            torch._foreach_mul_(self._sums, self.decay)
            torch._foreach_add_(self._sums, [tensor.detach() for tensor in self.tensors], alpha=1 - self.decay)

    @torch.no_grad()
    def settle(self) -> None:
        """Put the average in the place of the tensors."""
        for tensor, total in zip(self.tensors, self._sums, strict=True) if self.decay and self.steps else ():
            tensor.copy_(total / (1 - self.decay**self.steps))

    @contextmanager
    def settled(self) -> Iterator[None]:
        """As `settle`, and put the tensors back afterwards, whatever was done to them."""
        held = [tensor.detach().clone() for tensor in self.tensors]
        self.settle()
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(self.tensors, held, strict=True):
                    tensor.copy_(value)
