"""Fitting a mix to what shoppers took: the coefficients under which their next products are likeliest (pure).

    maximise Σ over cases of log Σ over the products taken of softmax(evidence @ coefficients)[taken]

Of several products taken it is worth most to have one at the very top; their mean would be won by what is wanted least.

A conditional logit (McFadden, "Conditional Logit Analysis of Qualitative Choice Behavior", 1974), by Newton's method; the
evidence is measured over its spread, and coefficients are drawn a little towards where they started. Cao et al., "Learning to
Rank: From Pairwise Approach to Listwise Approach", 2007.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.strategies.mixing import TERMS, Mix
from ranking.visits.asked import Floats

PULL = 1e-3  # per case: with some hundred cases it decides only what they leave open
STEPS = 50
CONVERGED = 1e-7
LEAST_SPREAD = 1e-3
SHORTEST = 1e-6  # share of a step
LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class Case:
    """Somebody's candidates at a moment: evidence (N, K), and which of them she took next, (N,)."""

    evidence: Floats
    taken: NDArray[np.bool_]


def coefficients_fit(cases: Sequence[Case], *, start: Floats, pull: float = PULL) -> Floats:
    """Coefficients (K,) that make what was taken likeliest. Raises ValueError without cases that have something taken."""
    cases = [case for case in cases if case.taken.any()]
    if not cases:
        raise ValueError("no cases to fit a mix to")
    evidence = np.concatenate([case.evidence for case in cases])
    spread = np.maximum(evidence.std(axis=0), LEAST_SPREAD)
    bounds = np.cumsum([0] + [len(case.taken) for case in cases])
    scaled = evidence / spread  # (M, K)
    taken = np.concatenate([case.taken for case in cases])
    found = begun = start * spread
    value, gradient, curvature = _likelihood(scaled, taken, bounds, found)
    for _ in range(STEPS):
        away = found - begun
        step = np.linalg.solve(curvature + pull * np.eye(len(found)), gradient - pull * away)
        better, left = value - pull / 2 * float(away @ away), 1.0
        while left > SHORTEST:  # a full step may overshoot for good: half of it, and half of that, comes nearer
            value, gradient, curvature = _likelihood(scaled, taken, bounds, found + left * step)
            moved = away + left * step
            if value - pull / 2 * float(moved @ moved) >= better:
                break
            left /= 2
        found = found + left * step
        if np.abs(left * step).max() < CONVERGED:
            break
    coefficients: Floats = found / spread
    return coefficients


def _likelihood(
    evidence: Floats, taken: NDArray[np.bool_], bounds: NDArray[np.int64], coefficients: Floats
) -> tuple[float, Floats, Floats]:
    """Mean log-likelihood of the cases, its gradient (K,) and a bound of the negative of its second derivatives (K, K).

    Exact where one product was taken; else as if it were settled which of them counts, as in expectation maximisation.
    """
    starts, sizes = bounds[:-1], np.diff(bounds)
    logits = evidence @ coefficients
    logits -= np.repeat(np.maximum.reduceat(logits, starts), sizes)
    exped = np.exp(logits)
    totals = np.add.reduceat(exped, starts)
    share = exped / np.repeat(totals, sizes)  # softmax of each case
    count = len(starts)
    of_taken = share * taken
    found = np.maximum(np.add.reduceat(of_taken, starts), LEAST)
    value = float(np.log(found).sum()) / count
    gradient = (of_taken / np.repeat(found, sizes) - share) @ evidence / count
    means = np.add.reduceat(share[:, None] * evidence, starts)  # (cases, K)
    curvature = ((evidence * share[:, None]).T @ evidence - means.T @ means) / count
    return value, gradient, curvature


def intercept_fit(cases: Sequence[Case], coefficients: Floats) -> float:
    """Intercept under which the ŷ of a case's candidates add up to what was taken, so that ŷ is a probability."""
    logits = np.concatenate([case.evidence @ coefficients for case in cases])
    wanted = sum(int(case.taken.sum()) for case in cases)
    low, high = -60.0 - float(logits.max()), 60.0 - float(logits.min())
    for _ in range(80):
        middle = (low + high) / 2
        expected = float((0.5 * (1.0 + np.tanh(0.5 * (logits + middle)))).sum())
        low, high = (middle, high) if expected < wanted else (low, middle)
    return (low + high) / 2


def mix_fit(cases: Sequence[Case], *, start: Mix, name: str = "learned") -> Mix:
    """The mix that explains these cases best, from another one. Raises ValueError without cases."""
    coefficients = coefficients_fit(cases, start=start.vector)
    named: Mapping[str, float] = dict(zip(TERMS, coefficients.tolist(), strict=True))
    return Mix(name=name, coefficients=named, intercept=intercept_fit(cases, coefficients))
