"""Which mix an answer is made by: drawn with known probabilities from what a surface has taught so far (pure).

    chances = (1 - explore) · P(best) + explore / K      while it explores
    chances = 1 for the arm of the largest mean          with explore = 0

They are computed when something new is known, not when somebody asks, so a choice is a look-up and one draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from eventlog.errors import FreshetError
from ranking.bandit.best import best_probabilities
from ranking.bandit.options import DEFAULTS, BanditOptions
from ranking.bandit.posterior import Posterior, posterior
from ranking.bandit.sums import ArmSums, Tally, Turn
from ranking.choices import ArmName


class NoArms(FreshetError):
    """There is no arm to choose from."""

    code = "no_arms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an operator says of a surface: how much its bandit explores and what it does not show, or the one arm without it."""

    explore: float = DEFAULTS.explore
    fixed: str | None = None
    off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """An arm, and how likely it was to be chosen for this request."""

    arm: str
    propensity: float


Asked: TypeAlias = tuple[str, str, tuple[str, ...], Setting]  # surface, segment, arms, setting


@dataclass(frozen=True)
class State:
    """All that a choice depends on, as of a position of the log."""

    arms: Mapping[ArmName, ArmSums] = field(default_factory=dict)
    turns: Mapping[str, Turn] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    position: int = 0
    options: BanditOptions = DEFAULTS
    _surfaces: dict[str, Mapping[ArmName, ArmSums]] = field(default_factory=dict, repr=False, compare=False)
    _chances: dict[Asked, Mapping[str, float]] = field(default_factory=dict, repr=False, compare=False)

    def setting(self, surface: str) -> Setting:
        return self.settings.get(surface) or self._unset

    @cached_property
    def _unset(self) -> Setting:
        return Setting(explore=self.options.explore)

    def surface(self, surface: str) -> Mapping[ArmName, ArmSums]:
        """The sums of a surface's arms, as of its last trial."""
        if surface not in self._surfaces:
            self._surfaces[surface] = Tally(dict(self.arms), dict(self.turns), self.options).surface(surface)
        return self._surfaces[surface]

    def posterior(self, surface: str, segment: str, names: Sequence[str]) -> Posterior:
        """What is believed of these arms."""
        return posterior(self.surface(surface), segment=segment, names=names, options=self.options)

    def chances(
        self, *, surface: str, segment: str, arms: Sequence[str], setting: Setting | None = None
    ) -> Mapping[str, float]:
        """How likely each arm that can be shown is chosen, by the setting in force or by another; computed once a state.

        Raises NoArms.
        """
        chosen = setting or self.setting(surface)
        key = (surface, segment, tuple(arms), chosen)
        if key not in self._chances:
            self._chances[key] = MappingProxyType(self._chances_of(surface, segment, arms, chosen))
        return self._chances[key]

    def at(self, position: int) -> State:
        """The same, known to hold at a later position; what was computed stays computed."""
        return replace(self, position=position)

    def prepare(self, before: State) -> None:
        """Compute what another state was asked, so that no request waits for it."""
        for surface, segment, arms, setting in list(before._chances):
            if setting == before.setting(surface):
                self.chances(surface=surface, segment=segment, arms=arms)

    def _chances_of(self, surface: str, segment: str, arms: Sequence[str], setting: Setting) -> dict[str, float]:
        if not arms:
            raise NoArms
        if setting.fixed in arms:
            return {str(setting.fixed): 1.0}
        shown = [arm for arm in arms if arm not in setting.off] or list(arms)  # an answer there must be
        of = self.posterior(surface, segment, shown)
        if setting.explore == 0:
            return {shown[int(np.argmax(of.means))]: 1.0}
        chances = (1 - setting.explore) * best_probabilities(of) + setting.explore / len(shown)
        return dict(zip(shown, map(float, chances), strict=True))


def choose(
    state: State, *, surface: str, segment: str, arms: Sequence[str], explore: float | None = None, seed: int
) -> Choice:
    """Choose an arm for a request; the same state and seed choose the same. Without `explore`, the surface's own share.

    `arms` are those that there are; one that was fixed and is not among them any more is passed over. Raises NoArms.
    """
    setting = state.setting(surface)
    if explore is not None and explore != setting.explore:
        setting = replace(setting, explore=explore)
    chances = state.chances(surface=surface, segment=segment, arms=arms, setting=setting)
    if len(chances) == 1:
        return Choice(next(iter(chances)), 1.0)
    return _drawn(chances, _uniform(surface, segment, seed))


def _drawn(chances: Mapping[str, float], uniform: float) -> Choice:
    left = uniform * sum(chances.values())  # they sum to 1 but for rounding
    for arm, chance in chances.items():
        left -= chance
        if left < 0:
            return Choice(arm, chance)
    return Choice(arm, chance)


def _uniform(surface: str, segment: str, seed: int) -> float:
    """A number in [0, 1) that follows from the seed, and from nothing else that is drawn by it."""
    digest = blake2b(f"bandit/{surface}/{segment}/{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
