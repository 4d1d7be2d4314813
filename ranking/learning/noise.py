"""Numbers that nobody can guess or draw again, and gradients of which no shopper moves the sum by more than a bound (pure)."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Doubles = NDArray[np.float64]
Draw = Callable[[int], Doubles]  # so many numbers in (0, 1)
_BITS = 53  # of a double


def secret(count: int) -> Doubles:
    """Numbers in (0, 1) from the operating system, (count,).

    No seed is kept, for none there is. A seeded generator's state could be worked out from the noise in a published version.
    """
    whole = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(64 - _BITS)
    return (whole.astype(np.float64) + 0.5) / 2.0**_BITS


def normal(count: int, draw: Draw) -> Doubles:
    """Standard normal numbers, (count,). Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958."""
    half = (count + 1) // 2
    length, angle = np.sqrt(-2 * np.log(draw(half))), 2 * np.pi * draw(half)
    return np.concatenate([length * np.cos(angle), length * np.sin(angle)])[:count]


def clipped_sum(gradients: Tensor, owners: Tensor, clip: float) -> Tensor:
    """Sum over shoppers of the mean gradient of each, none longer than `clip`, (D,) in double precision.

    `gradients` are (E, D), one an example; `owners` (E,) number their shoppers from 0. Without a shopper's examples
    the sum is another one by at most `clip`. Abadi et al., "Deep Learning with Differential Privacy", 2016, whose
    examples are shoppers here, as in McMahan et al., "Learning Differentially Private Recurrent Language Models", 2018.
    """
    gradients = gradients.double()
    count = int(owners.max()) + 1 if len(owners) else 0
    sums = gradients.new_zeros((count, gradients.shape[1])).index_add_(0, owners, gradients)  # (S, D)
    means = sums / torch.bincount(owners, minlength=count).clamp(min=1).unsqueeze(1)
    lengths = torch.linalg.norm(means, dim=1, keepdim=True)
    total: Tensor = (means * (clip / lengths.clamp(min=clip))).sum(dim=0)
    return total
