"""Who chooses arms in `bench.bandit`: the project's bandit, and what it is measured beside."""

from __future__ import annotations

import random
from collections.abc import Sequence

from bench.bandit_shop import SURFACE
from ranking.bandit.choosing import Setting, State, choose
from ranking.bandit.options import DEFAULTS, BanditOptions
from ranking.bandit.sums import Tally
from ranking.choices import ArmName, Trial, full_reward
from ranking.weights.options import VALUES


class Thompson:
    """The project's own sums, posterior and choice; what closed is looked at every so many requests, as a process does."""

    def __init__(
        self, arms: Sequence[str], *, every: int = 100, explore: float | None = None, options: BanditOptions = DEFAULTS
    ) -> None:
        self.arms, self.every, self.options = list(arms), every, options
        self.settings = {SURFACE: Setting(explore=options.explore if explore is None else explore)}
        self.tally = Tally(options=options)
        self.state = self._seen()

    def choose(self, segment: str, request: int) -> tuple[str, float]:
        if request % self.every == 0:
            self.state = self._seen()
        choice = choose(self.state, surface=SURFACE, segment=segment, arms=self.arms, seed=request)
        return choice.arm, choice.propensity

    def learn(self, trial: Trial, at: float) -> None:
        self.tally.add(trial.name, trial.reward(VALUES, full_reward(VALUES)), at)

    def _seen(self) -> State:
        return State(dict(self.tally.arms), dict(self.tally.turns), self.settings, options=self.options)


class Greedy:
    """ε-greedy on each segment's own means, of all trials or of those not forgotten: the usual peer."""

    def __init__(
        self, arms: Sequence[str], *, epsilon: float = 0.1, options: BanditOptions = DEFAULTS, seed: int = 0
    ) -> None:
        self.arms, self.epsilon, self.options = list(arms), epsilon, options
        self.tally, self.chance = Tally(options=options), random.Random(seed)

    def choose(self, segment: str, request: int) -> tuple[str, float]:
        best = max(self.arms, key=lambda arm: self._mean(segment, arm))
        explored = self.chance.random() < self.epsilon
        arm = self.chance.choice(self.arms) if explored else best
        return arm, self.epsilon / len(self.arms) + (1 - self.epsilon) * (arm == best)

    def learn(self, trial: Trial, at: float) -> None:
        self.tally.add(trial.name, trial.reward(VALUES, full_reward(VALUES)), at)

    def _mean(self, segment: str, arm: str) -> float:
        sums = self.tally.arms.get(ArmName(SURFACE, segment, arm))
        return sums.reward / sums.trials if sums and sums.trials else float("inf")  # every arm is tried once


class Uniform:
    """Any arm."""

    def __init__(self, arms: Sequence[str], *, seed: int = 0) -> None:
        self.arms, self.chance = list(arms), random.Random(seed)

    def choose(self, segment: str, request: int) -> tuple[str, float]:
        return self.chance.choice(self.arms), 1 / len(self.arms)

    def learn(self, trial: Trial, at: float) -> None:
        pass
