"""What can be tuned about the bandit, each default with its reason."""

from __future__ import annotations

from dataclasses import dataclass

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditOptions:
    """Everything that can be tuned about the bandit. A trial is one answer shown to one shopper."""

    half_life_trials: float = 2_500.0
    """Of evidence, in trials of the surface, so that a busy shop follows tastes within hours. Longer is held up by tastes that
    are gone (with 10,000 half of the runs of `bench.bandit` had not recovered 15,000 requests after a flip), shorter takes
    luck for taste: `--half-life` shows both."""
    half_life_seconds: float = 30 * DAY_SECONDS
    """Of evidence, in time: a quiet shop's last season says little of this one."""
    pooled_trials: float = 200.0
    """Trials that the surface's posterior is worth to a segment, at most: enough to begin with, little beside its own."""
    prior_mean: float = 0.02
    """Mean reward before anything was shown: one click in five answers. It is worth `prior_trials`."""
    prior_trials: float = 2.0
    """Trials that an arm's first guess is worth: next to nothing, so that an arm nobody tried is tried."""
    explore: float = 0.05
    """Share of the answers whose arm is drawn evenly, so that every propensity has a floor; 0: nothing is explored."""


DEFAULTS = BanditOptions()
