"""Studentised bootstrap intervals of ratios of sums, and of differences between them (pure).

Units are drawn again, and the error of each draw is counted in its own standard errors (by the delta method), so that the skew of
rare rewards with large weights widens the side that it should; `bench.policy` has the basic interval beside it. Efron,
"Bootstrap Methods: Another Look at the Jackknife", 1979; Hall, "Theoretical Comparison of Bootstrap Confidence Intervals", 1988.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
LEVEL = 0.95
MOST_CELLS = 4_000_000  # of a table of draws: 32 MB
ROUNDING = 1e-12  # of a variance, beside what was added up to it


def intervals(ratios: Floats, contrasts: Floats, *, seed: int, resamples: int) -> Floats:
    """Values, lower and upper ends, (E, D, 3), of E estimates and D contrasts of their ratios.

    `ratios`: numerator and denominator of V ratios of each of N units, (E, N, V, 2), summed over the units. `contrasts`:
    how much each ratio counts, (D, V): [[1, -1]] is the difference of two. All are of the same draws, so that what ratios
    share cancels.
    """
    estimates, units, width = (*ratios.shape[:2], 2 * ratios.shape[2])
    columns = ratios.reshape(estimates, units, width)
    products = (columns[..., :, None] * columns[..., None, :]).reshape(estimates, units, width * width)
    flat = np.concatenate([columns, products], axis=2).transpose(1, 0, 2).reshape(units, -1)
    values, errors = _estimated(flat.sum(axis=0)[None], contrasts, estimates, width)
    drawn = [_estimated(times @ flat, contrasts, estimates, width) for times in _resampled(units, resamples, seed)]
    return _ends(values[0], errors[0], *(np.concatenate(each) for each in zip(*drawn, strict=True)))


def _ends(value: Floats, error: Floats, values: Floats, errors: Floats) -> Floats:
    """(E, D, 3) of values and errors, (E, D), and those of B draws, (B, E, D)."""
    held = np.where(errors > 0, errors, np.where(error > 0, error, 1.0))  # a draw without rewards knows no error
    low, high = np.quantile((values - value) / held, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.stack([value, value - high * error, value - low * error], axis=-1)


def _estimated(sums: Floats, contrasts: Floats, estimates: int, width: int) -> tuple[Floats, Floats]:
    """Values and standard errors, (B, E, D) each, by the sums of a draw, (B, E · (C + C²))."""
    table = sums.reshape(len(sums), estimates, width + width * width)
    tops, bottoms = table[..., 0:width:2], table[..., 1:width:2]  # (B, E, V)
    held = np.where(bottoms > 0, bottoms, 1.0)
    found = np.where(bottoms > 0, tops / held, 0.0)
    slopes = np.stack([1 / held, -found / held], axis=-1)  # of a ratio, by its two sums
    gradient = (contrasts[:, :, None] * slopes[:, :, None]).reshape(len(sums), estimates, len(contrasts), width)
    moments = table[..., width:].reshape(len(sums), estimates, width, width)
    variances = np.einsum("bedi,beij,bedj->bed", gradient, moments, gradient, optimize=True)
    magnitudes = np.einsum("bedi,beii->bed", gradient**2, moments)
    return found @ contrasts.T, np.sqrt(np.where(variances > ROUNDING * magnitudes, variances, 0.0))


def _resampled(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn when as many are drawn again, (B, N), a stretch of the draws at a time."""
    rng = np.random.default_rng(seed)
    stretch = max(1, MOST_CELLS // max(units, 1))
    for first in range(0, resamples, stretch):
        count = min(stretch, resamples - first)
        drawn = rng.integers(units, size=(count, units)) + units * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units).astype(np.float64)
