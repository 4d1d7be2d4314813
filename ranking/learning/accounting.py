"""What noise costs: how much of it a version needs for its ε, and the ε of several versions together, by opacus.

Rényi differential privacy adds up over versions order by order, and is turned into ε once at the end: 43 versions of
ε = 1 come to 8, where adding the ε would allow 8 versions. Mironov, "Rényi Differential Privacy", 2017; with sampling:
Mironov, Talwar and Zhang, "Rényi Differential Privacy of the Sampled Gaussian Mechanism", 2019.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import isinf

import numpy as np
from numpy.typing import NDArray
from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent

# opacus' own go to 63, too few for much noise, and have tenths between, which take seconds
ORDERS = (1.25, 1.5, 1.75, 2.25, 2.5, 3.5, 4.5, *range(2, 64), 72, 80, 96, 128, 192, 256, 512, 1024)
_PRECISION = 1e-3  # relative, of a multiplier: it is rounded up
MOST_NOISE = 1e5


@dataclass(frozen=True, slots=True)
class Noise:
    """A sum clipped at C to which normal noise of `multiplier` · C is added, `steps` times, over a sample of the shoppers.

    Each shopper is in a step's sample with the chance `sample_rate`, independently of everybody else.
    """

    multiplier: float
    sample_rate: float
    steps: int


def epsilon_of(noises: Iterable[Noise], *, delta: float) -> float:
    """The ε of all these mechanisms together, for a shopper who may be in every one; 0 for none."""
    total = sum((_rdp(noise) for noise in noises), np.zeros(len(ORDERS)))
    if not total.any():
        return 0.0
    epsilon, _ = get_privacy_spent(orders=ORDERS, rdp=total, delta=delta)
    return float(epsilon)


@lru_cache(maxsize=64)
def noise_for(*, epsilon: float, delta: float, sample_rate: float, steps: int) -> Noise:
    """The least noise by which so many steps together cost at most ε.

    A function of the options alone: that nothing of the range is asked (not even how many shoppers are in it) is part
    of the guarantee. An infinite ε needs none: by it a bench tells what the clipping costs. Raises ValueError when no
    noise is enough.
    """
    if isinf(epsilon):
        return Noise(0.0, sample_rate, steps)
    low, high = 0.0, 1.0
    while epsilon_of([Noise(high, sample_rate, steps)], delta=delta) > epsilon:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise ValueError(f"no noise makes ε {epsilon:g} at δ {delta:g}")
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        enough = epsilon_of([Noise(middle, sample_rate, steps)], delta=delta) <= epsilon
        low, high = (low, middle) if enough else (middle, high)
    return Noise(high, sample_rate, steps)


@lru_cache(maxsize=256)
def _rdp(noise: Noise) -> NDArray[np.float64]:
    """Rényi divergence by order, (ORDERS,)."""
    found = compute_rdp(q=noise.sample_rate, noise_multiplier=noise.multiplier, steps=noise.steps, orders=ORDERS)
    return np.asarray(found, dtype=np.float64)
