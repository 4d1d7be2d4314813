"""What can be tuned about weights, each default with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

DAY_SECONDS = 86_400.0

VALUES: Mapping[str, float] = MappingProxyType(
    {"view": 0.2, "click": 1.0, "favourite": 3.0, "add_to_cart": 4.0, "purchase": 10.0, "dismiss": -2.0}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightOptions:
    """Everything that can be tuned about weights. Rewards are counted in clicks."""

    pseudo_count: float = 5.0
    """m: clicks of evidence at which what shoppers did counts as much as what the model expected."""
    global_pseudo_count: float = 80.0
    """m of g from impressions: a few queries show a product most, and say less of all others. With 5, simulated shoppers
    of the sample shop had 0.034 nDCG@10 less on queries that were asked and 0.025 less on queries that were not than with
    20. With 20, simulations of Chorus in memory lost up to 0.017 on queries never asked beside 80; more gains none."""
    recent_pseudo_count: float = 10.0
    """m of the recent part of v: recent clicks at which they count as much as all that was learned before."""
    breadth_pseudo_count: float = 1.0
    """m of g where impressions are missing, in contexts: one query that found a product is evidence, five are rare."""
    context_half_life_seconds: float = 10 * DAY_SECONDS
    """For the lasting part of v: long enough that a rare query keeps the clicks of its last weeks."""
    recent_half_life_seconds: float = DAY_SECONDS / 2
    """For the recent part of v: a release or a sale turns a busy query within hours. One rate for both (3 days) lost
    0.004 MAP@5 on real clicks."""
    global_half_life_seconds: float = 10 * DAY_SECONDS
    """For g from impressions: a rate per exposure drifts slowly."""
    breadth_half_life_seconds: float = 3 * DAY_SECONDS
    """For g from contexts: what shoppers look for now. It is robust (a context counts once), so it may be fast."""
    values: Mapping[str, float] = field(default_factory=lambda: VALUES)
    """Reward of one interaction of a kind: a click is the unit, the rest roughly by how much rarer they are."""
    near_contexts: int = 20
    """Nearest contexts that lend evidence: more add noise and rows to the one statement of a search."""
    near_similarity: float = 0.6
    """Below this similarity two contexts do not mean the same thing."""
    near_power: float = 2.0
    """((s - 0.6)/0.4)²: a paraphrase lends nearly all of its evidence, a relative a little."""
    near_cap: float = 10.0
    """All neighbours together never outweigh this many own clicks."""
    least_factor: float = 0.001
    most_factor: float = 1000.0
    """Bounds of learned factors against overflow and spam; tight bounds ([0.2, 5]) cost 0.03 MAP@5 on real clicks."""
    most_operator: float = 100.0
    """Largest weight an operator may set: two orders of magnitude bury or lift anything."""

    @property
    def breadth_reward(self) -> float:
        """Least reward by which a context counts for a product's breadth: a click. A view says too little."""
        return self.values["click"]


DEFAULTS = WeightOptions()
