"""What is believed of each arm's mean reward in each segment: Beta distributions, partially pooled over segments (pure).

A mean reward is a segment's level times an arm's lift, as far as the other segments know it, until the segment knows better
itself. Level and lift rather than one mean for all: known shoppers click more, and an arm that was mostly shown to them is
not better for it. Partial pooling: Gelman and Hill, "Data Analysis Using Regression and Multilevel Models", 2007, chapter 12;
levels and lifts by iterative proportional fitting, as rates are standardised indirectly.

Rewards lie in [0, 1] and mostly vary less than yes and no of the same mean do. The posterior is the Beta distribution of the
same mean and variance: n trials count as n / dispersion trials of yes and no, where the dispersion is the variance of a
reward over m(1 - m). For rewards of 0 and 1 that is the plain Beta posterior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from ranking.bandit.options import DEFAULTS, BanditOptions
from ranking.bandit.sums import ArmSums
from ranking.choices import ArmName

Floats = NDArray[np.float64]
STEPS = 12  # of the fit of levels and lifts, a table of three by ten: it moves by less than 1e-6 then
LEAST_DISPERSION = 0.01  # rewards that never differ say less than they seem to
LEAST_MEAN = 1e-4


@dataclass(frozen=True, slots=True)
class Posterior:
    """Beta(a, b) of the mean reward of K arms in a segment, (K,) each."""

    a: Floats
    b: Floats

    @property
    def means(self) -> Floats:
        return self.a / (self.a + self.b)

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """The ends between which the mean lies with this probability, (K,) each."""
        return betaincinv(self.a, self.b, (1 - level) / 2), betaincinv(self.a, self.b, (1 + level) / 2)


def posterior(
    arms: Mapping[ArmName, ArmSums], *, segment: str, names: Sequence[str], options: BanditOptions = DEFAULTS
) -> Posterior:
    """What the sums of a surface say of these arms in a segment, known or new."""
    segments = sorted({each.segment for each in arms} | {segment})
    every = sorted({each.arm for each in arms} | set(names))
    trials, rewards, squares = _table(arms, segments, every)
    mean = (rewards.sum() + options.prior_trials * options.prior_mean) / (trials.sum() + options.prior_trials)
    scale = _dispersion(float(trials.sum()), float(squares.sum()), mean, options)
    levels = _levels(trials, rewards, mean, options)
    row, columns = segments.index(segment), [every.index(name) for name in names]
    known, strength = _from_others(trials, rewards, levels, row, mean, scale, options)
    a = known * strength + rewards[row] / scale
    b = (1 - known) * strength + (trials[row] - rewards[row]) / scale
    return Posterior(a[columns], b[columns])


def _table(
    arms: Mapping[ArmName, ArmSums], segments: Sequence[str], names: Sequence[str]
) -> tuple[Floats, Floats, Floats]:
    """Σ1, Σ reward and Σ reward² by segment and arm, (S, K) each."""
    none = ArmSums()
    sums = [[next((v for k, v in arms.items() if k[1:] == (s, n)), none) for n in names] for s in segments]
    found = np.array([[(each.trials, each.reward, each.squares) for each in row] for row in sums], dtype=np.float64)
    return found[:, :, 0], found[:, :, 1], found[:, :, 2]


def _dispersion(trials: float, squares: float, mean: float, options: BanditOptions) -> float:
    """Variance of a reward over that of yes and no of the same mean; 1 until trials say otherwise."""
    most = mean * (1 - mean)
    variance = max(squares - trials * mean**2, 0.0)
    return float(np.clip((variance + options.prior_trials * most) / ((trials + options.prior_trials) * most),
                         LEAST_DISPERSION, 1.0))  # fmt: skip


def _levels(trials: Floats, rewards: Floats, mean: float, options: BanditOptions) -> Floats:
    """Mean reward of each segment for an arm of lift 1, (S,)."""
    prior, lifts = options.prior_trials, np.ones(trials.shape[1])
    levels = np.full(trials.shape[0], mean)
    for _ in range(STEPS):
        levels = (rewards.sum(axis=1) + prior * mean) / (trials @ lifts + prior)
        lifts = (rewards.sum(axis=0) + prior * mean) / (levels @ trials + prior * mean)
    return levels


def _from_others(
    trials: Floats, rewards: Floats, levels: Floats, row: int, mean: float, scale: float, options: BanditOptions
) -> tuple[Floats, Floats]:
    """What the other segments say of each arm in this one: a mean and how many trials that is worth, (K,) each."""
    prior, others = options.prior_trials, np.arange(len(levels)) != row
    expected = levels[others] @ trials[others]
    lifts = (rewards[others].sum(axis=0) + prior * mean) / (expected + prior * mean)
    worth = prior + trials[others].sum(axis=0) / scale
    pooled = options.pooled_trials / scale
    return np.clip(levels[row] * lifts, LEAST_MEAN, 1 - LEAST_MEAN), worth * pooled / (worth + pooled)
