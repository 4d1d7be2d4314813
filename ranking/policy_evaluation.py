"""What a way of choosing among arms would have earned, estimated from what was chosen by chance and logged.

Units are closed trials (`ranking/choices.py`) read from the log itself; the estimators and their intervals are those of
`ranking/counterfactual.py`. What is learned from units (the model of the rewards, a bandit's posterior) is learned from
other folds than the one it values, so that a lucky arm is not valued by its own luck: Chernozhukov et al., "Double/Debiased
Machine Learning for Treatment and Structural Parameters", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, sqrt
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from eventlog.events import ClockTicked
from eventlog.selectors import read_types
from feedback.projections import window
from ranking.bootstrap import Floats
from ranking.choices import FEEDBACK, Trials, full_reward
from ranking.counterfactual import (
    RESAMPLES,
    Compared,
    Logged,
    assessed,
    choices_logged,
    effective_size,
)
from ranking.signals import signals_now

FOLDS = 5
SHRINK = 10.0  # units that the mean of all arms is worth beside an arm's own, and an arm's beside a segment's
LEAST_SIZE = 100.0  # effective units: with fewer, intervals of rare rewards do not hold what they say (bench.policy)
LEAST_REWARDED = 10.0  # of those with a reward
MOST_UNSEEN = 0.05  # share of a policy's choices that nothing was logged of
TOLERANCE = 0.05  # how far the mean weight may be from 1, and four standard errors
SEED = 20_240_917  # of the draws: asking twice gives the same interval


class Unit(NamedTuple):
    """A closed trial of a surface."""

    key: str
    segment: str
    arm: str
    propensity: float
    reward: float
    at: float

    @property
    def fold(self) -> int:
        return int(self.key[:8], 16) % FOLDS


Chooser: TypeAlias = Callable[[str], Mapping[str, float]]  # how likely each arm is, for a segment
Policy: TypeAlias = Callable[[Sequence[Unit]], Chooser]  # the same, given what it may learn from


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value a trial, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a policy is estimated to earn a trial, beside what was earned. `refusal` says why that is not to be relied on.

    `ess`: as many units of equal weight say as much. `rewarded_ess`: the same of those with a reward. `mean_weight` is 1 but
    for chance where the propensities are right and cover the policy; `unseen`: share of its choices that nothing was
    logged of. `without_chance`: trials left out, since their arm was certain and says nothing of others.
    """

    units: int
    rewarded: int
    without_chance: int
    ess: float
    rewarded_ess: float
    mean_weight: float
    unseen: float
    logged: Estimate
    estimates: Mapping[str, Estimate]
    differences: Mapping[str, Compared]
    refusal: str | None

    @property
    def is_worse(self) -> bool:
        """Whether it earns less than what was logged did, beyond chance."""
        return self.refusal is None and self.differences["dr"].high < 0

    def as_dict(self) -> dict[str, Any]:
        """As the log and `--json` have it, rounded to what it can say."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def units_read(*, shop_id: int, surface: str, after: int, to: int) -> list[Unit]:
    """Trials of a surface that opened and closed within after < p <= to, in the order in which they closed.

    They are all worth what their deeds count now.
    """
    trials = Trials(window().total_seconds())
    values = signals_now(shop_id=shop_id).values
    full = full_reward(values)
    units = []
    for event in read_types(types=FEEDBACK | {ClockTicked.type}, after=after, to=to, shop_id=shop_id):
        for each in trials.advance(event):
            if each.name.surface == surface:
                reward = each.reward(values, full)
                units.append(Unit(each.key, each.name.segment, each.name.arm, each.propensity, reward, trials.clock))
    return units


def evaluate(units: Sequence[Unit], policy: Policy, *, seed: int = SEED, resamples: int = RESAMPLES) -> Evaluation:
    """Estimate what a policy would have earned on these units, by IPS, SNIPS and doubly robust."""
    by_chance = [unit for unit in units if 0 < unit.propensity < 1]
    if not by_chance:
        return _nothing(units)
    table = _Table(by_chance)
    chances, model = table.crossed(policy)
    logged = _logged(table, chances, model)
    earned = Logged(table.rewards, *(np.ones(len(by_chance)),) * 2, *(np.zeros(len(by_chance)),) * 2)
    before, after, differences = assessed(earned, logged, seed=seed, resamples=resamples)
    rewarded = table.rewards > 0
    measures = {
        "ess": effective_size(logged),
        "rewarded_ess": _size(logged.mass[rewarded] * table.rewards[rewarded]),
        "mean_weight": float(logged.mass.mean()),
        "unseen": float(1 - (chances * table.seen[table.segments]).sum(axis=1).mean()),
    }
    return Evaluation(
        units=len(by_chance),
        rewarded=int(rewarded.sum()),
        without_chance=len(units) - len(by_chance),
        **measures,
        logged=Estimate(*before["ips"]),
        estimates={name: Estimate(*found) for name, found in after.items()},
        differences=differences,
        refusal=_refusal(logged, measures, table.unseen_arms(chances)),
    )


class _Table:
    """Units as columns; segments and arms by number."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self.segment_names = sorted({unit.segment for unit in units})
        self.arm_names = sorted({unit.arm for unit in units})
        numbers = {name: n for n, name in enumerate(self.segment_names)}, {n: i for i, n in enumerate(self.arm_names)}
        self.segments = np.array([numbers[0][unit.segment] for unit in units])
        self.arms = np.array([numbers[1][unit.arm] for unit in units])
        self.rewards = np.array([unit.reward for unit in units])
        self.propensities = np.array([unit.propensity for unit in units])
        self.folds = np.array([unit.fold for unit in units])
        self.seen = np.zeros((len(self.segment_names), len(self.arm_names)))
        self.seen[self.segments, self.arms] = 1.0

    def crossed(self, policy: Policy) -> tuple[Floats, Floats]:
        """For each unit, what the policy would choose and what each arm is expected to earn, (N, K) each, by other folds."""
        chances, model = np.zeros((2, len(self.units), len(self.arm_names)))
        for fold in range(FOLDS):
            here = self.folds == fold
            choose = policy([unit for unit, inside in zip(self.units, here, strict=True) if not inside])
            chances[here] = np.array([self._chances(choose(each)) for each in self.segment_names])[self.segments[here]]
            model[here] = self._expected(~here)[self.segments[here]]
        return chances, model

    def _chances(self, of: Mapping[str, float]) -> list[float]:
        return [of.get(arm, 0.0) for arm in self.arm_names]

    def _expected(self, of: Any) -> Floats:
        """Mean reward by segment and arm, (S, K), shrunk to the arm's, and that to all."""
        count, reward = np.zeros((2, *self.seen.shape))
        np.add.at(count, (self.segments[of], self.arms[of]), 1.0)
        np.add.at(reward, (self.segments[of], self.arms[of]), self.rewards[of])
        mean = reward.sum() / max(count.sum(), 1.0)
        arms = (reward.sum(axis=0) + SHRINK * mean) / (count.sum(axis=0) + SHRINK)
        return np.asarray((reward + SHRINK * arms) / (count + SHRINK))

    def unseen_arms(self, chances: Floats) -> list[str]:
        """Arms that the policy would choose in a segment in which they were never chosen by chance."""
        wanted = np.zeros_like(self.seen)
        np.maximum.at(wanted, self.segments, chances)
        unseen = ((wanted > 0) & (self.seen == 0)).any(axis=0)
        return [arm for arm, is_unseen in zip(self.arm_names, unseen, strict=True) if is_unseen]


def _logged(table: _Table, chances: Floats, model: Floats) -> Logged:
    rows = np.arange(len(table.units))
    return choices_logged(
        rewards=table.rewards,
        logged=table.propensities,
        chosen=chances[rows, table.arms],
        modelled=(chances * model).sum(axis=1),
        explained=model[rows, table.arms],
        most=inf,  # a clip would be a bias that no interval shows; too large a weight shows in the effective size
    )


def _refusal(logged: Logged, measures: Mapping[str, float], unseen_arms: Iterable[str]) -> str | None:
    """Why the estimate says too little, if it does."""
    size, rewarded, mean, unseen = (measures[name] for name in ("ess", "rewarded_ess", "mean_weight", "unseen"))
    if unseen > MOST_UNSEEN:
        named = f" ({', '.join(unseen_arms)})" if unseen_arms else ""
        return f"{unseen:.0%} of its choices are of arms that chance never chose there{named}"
    if size < LEAST_SIZE:
        return f"what was logged says as much as {size:.0f} trials, {LEAST_SIZE:.0f} are needed"
    if rewarded < LEAST_REWARDED:
        return f"its rewards say as much as {rewarded:.0f} rewarded trials, {LEAST_REWARDED:.0f} are needed"
    if abs(mean - 1) > TOLERANCE + 4 * float(logged.mass.std()) / sqrt(len(logged.mass)):
        return f"the mean weight is {mean:.2f} instead of 1: some arms could not be chosen all the time"
    return None


def _size(weights: Floats) -> float:
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _nothing(units: Sequence[Unit]) -> Evaluation:
    none = Estimate(0.0, 0.0, 0.0)
    reason = (
        "no choice was logged" if not units else "no arm was chosen by chance: let it explore a share of its answers"
    )
    return Evaluation(0, 0, len(units), 0.0, 0.0, 0.0, 1.0, none, {}, {}, reason)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value
