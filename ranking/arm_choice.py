"""Which mix a recommendation is made by, and how likely that was."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from ranking.bandit.choosing import State, choose
from ranking.mix_state import arms
from ranking.strategies.mixes import Surface
from ranking.strategies.mixing import Mix
from ranking.strategies.registry import NAMES

ALONE, ALONE_INTERCEPT = (
    1.0,
    -6.0,
)  # of a strategy alone: with nothing to say for a product, ŷ is a quarter of a percent
KEPT_SECONDS = 3600.0  # a shopper who comes back within the hour finds the page made the same way


@dataclass(frozen=True, slots=True)
class Chosen:
    """A mix, the probability with which it was chosen, and the seed that chose it (None: there was no choice)."""

    mix: Mix
    propensity: float
    seed: int | None


def mix_choose(
    state: State, *, shop_id: int, surface: Surface, segment: str, subject: UUID | None, now: float
) -> Chosen:
    """Let the surface's bandit, as `state` has it, choose among its mixes.

    Before the first trial has ended there is nothing to choose by, and a shop that sends no impressions has none: it is shown
    the first mix, unless an operator fixed another one or took it out.
    """
    offered = {mix.name: mix for mix in arms(shop_id, surface)}
    setting = state.setting(surface)
    if not state.surface(surface) and setting.fixed is None:
        first = next((mix for mix in offered.values() if mix.name not in setting.off), next(iter(offered.values())))
        return Chosen(first, 1.0, None)
    seed = seed_of(subject, now)
    choice = choose(state, surface=surface, segment=segment, arms=tuple(offered), seed=seed)
    return Chosen(offered[choice.arm], choice.propensity, seed)


def mix_for(*, shop_id: int, surface: Surface, name: str) -> Mix | None:
    """The mix of an experiment's variant: one that the surface offers, or a strategy alone; None where there is none."""
    offered = {mix.name: mix for mix in arms(shop_id, surface)}
    if name in NAMES and name not in offered:
        return Mix(name=name, coefficients={name: ALONE}, intercept=ALONE_INTERCEPT)
    return offered.get(name)


def seed_of(subject: UUID | None, now: float) -> int:
    """The same for a shopper within the hour, another for each request of somebody not known; below 2^53, for JSON."""
    if subject is None:
        return secrets.randbits(53)
    digest = blake2b(b"%s/%d" % (subject.bytes, int(now // KEPT_SECONDS)), digest_size=8).digest()
    return int.from_bytes(digest) >> 11
