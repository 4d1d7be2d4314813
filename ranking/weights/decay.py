"""Decayed sums, stored as (value, reference_at) and merged in any order; times in seconds (pure)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
# PostgreSQL raises an error where a product of doubles is too small to be told from 0, so that SQL decays no further than
# this (6e-61 of a click is left) and takes what is stored below NOTHING for 0: their product is far above 1e-308
MOST_HALF_LIVES = 200
NOTHING = 1e-100


def decay(age_seconds: ArrayLike, half_life_seconds: float) -> Floats:
    """Share of a reward that is left after `age_seconds`; time that has not come yet decays nothing."""
    return np.exp2(-np.maximum(np.asarray(age_seconds, dtype=np.float64), 0.0) / half_life_seconds)


def decayed(value: ArrayLike, reference_at: ArrayLike, now: float, half_life_seconds: float) -> Floats:
    """A sum stored as (value, reference_at) as it stands at `now`; times in seconds."""
    return np.asarray(value, dtype=np.float64) * decay(
        now - np.asarray(reference_at, dtype=np.float64), half_life_seconds
    )


def merge_decayed(
    value: ArrayLike, reference_at: ArrayLike, other: ArrayLike, other_at: ArrayLike, half_life_seconds: float
) -> tuple[Floats, Floats]:
    """Add two decayed sums and return (value, reference_at).

    Both are rescaled to the later reference time, so factors are at most 1: late and early events may come in any
    order, nothing overflows, and an event of long ago underflows to nothing.
    """
    left_at = np.asarray(reference_at, dtype=np.float64)
    right_at = np.asarray(other_at, dtype=np.float64)
    at = np.maximum(left_at, right_at)
    left = np.asarray(value, dtype=np.float64) * decay(at - left_at, half_life_seconds)
    right = np.asarray(other, dtype=np.float64) * decay(at - right_at, half_life_seconds)
    return left + right, at


def merge_breadth(
    breadth: ArrayLike, at: ArrayLike, before: ArrayLike, after: ArrayLike, half_life_seconds: float
) -> tuple[Floats, Floats]:
    """A product's breadth after the newest reward of one of its contexts moved from `before` (-inf: none) to `after`.

    Breadth is Σ over contexts 2^-(age of the newest reward), so a context counts once: its old term goes, its
    new one comes. The newest time does not depend on the order of events, and so neither does breadth.
    """
    newest = np.maximum(np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64))
    left, reference_at = merge_decayed(breadth, at, 1.0, newest, half_life_seconds)
    return np.maximum(
        left - decay(reference_at - np.asarray(before, dtype=np.float64), half_life_seconds), 0.0
    ), reference_at
