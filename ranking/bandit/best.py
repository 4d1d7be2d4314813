"""How likely each arm is the best, by what is believed of them: the propensities of Thompson sampling (pure).

Thompson, "On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of Two Samples", 1933.
Sampling draws one value of each arm and shows the largest; so an arm is shown with P(best) = ∫ f_k Π_{j≠k} F_j. Here the
integral is computed once for all requests until the posterior changes, and what the log says is exact.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from ranking.bandit.posterior import Floats, Posterior

# from a posterior's mean in standard deviations: dense where most of it lies, and far out for its long tail
_STEPS = np.sinh(np.linspace(-3.0, 3.9, 64)) / 2.0
_TINY = np.logspace(-12, -1, 24)  # a Beta distribution with a < 1 rises steeply at 0


def best_probabilities(of: Posterior) -> Floats:
    """P(this arm's mean is the largest) of K arms, (K,); they sum to 1."""
    if len(of.a) == 1:
        return np.ones(1)
    grid = _grid(of)
    below = betainc(of.a[:, None], of.b[:, None], grid[None, :])  # (K, G), P(mean <= grid)
    middle = (below[:, 1:] + below[:, :-1]) / 2
    chances = np.array([_chance(below[k], np.delete(middle, k, axis=0)) for k in range(len(of.a))])
    return np.asarray(chances / chances.sum())


def _chance(below: Floats, others: Floats) -> float:
    return float(np.diff(below) @ others.prod(axis=0))


def _grid(of: Posterior) -> Floats:
    """Points of [0, 1] among which no posterior moves far in one step, from where the largest may lie."""
    total = of.a + of.b
    deviations = np.sqrt(of.a * of.b / (total**2 * (total + 1)))
    points = (of.means[:, None] + deviations[:, None] * _STEPS[None, :]).ravel()
    least = max(float((of.means - 8 * deviations).max()), 0.0)  # below it some arm surely is better
    inside = np.concatenate([points, _TINY, 1 - _TINY])
    return np.unique(np.concatenate([[0.0, least, 1.0], inside[(inside > least) & (inside < 1)]]))
