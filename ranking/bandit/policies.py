"""Ways of choosing that can be valued before they go live: an arm always, all alike, or the bandit with some setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eventlog.errors import FreshetError
from ranking.bandit.choosing import Setting, State
from ranking.bandit.options import DEFAULTS, BanditOptions
from ranking.bandit.sums import Tally
from ranking.choices import ArmName
from ranking.policy_evaluation import Chooser, Policy, Unit


class UnknownPolicy(FreshetError):
    """A policy is the name of an arm, `uniform`, `bandit`, or `explore=` and a share from 0 to 1."""

    code = "unknown_policy"


def policy_of(text: str, *, surface: str, arms: Sequence[str], setting: Setting) -> Policy:
    """Read a policy. Raises UnknownPolicy, which names the arms that there are."""
    name, _, share = text.partition("=")
    if text in arms:
        return setting_policy(Setting(fixed=text), surface=surface, arms=arms)
    if text == "uniform":
        return setting_policy(Setting(explore=1.0, off=setting.off), surface=surface, arms=arms)
    if text == "bandit":
        return setting_policy(setting, surface=surface, arms=arms)
    if name == "explore" and (explore := _share(share)) is not None:
        return setting_policy(replace(setting, fixed=None, explore=explore), surface=surface, arms=arms)
    known = ", ".join(arms) or "none was shown yet"
    raise UnknownPolicy(
        f"{text[:100]!r} is none of uniform, bandit, explore=SHARE, or an arm of {surface[:100]} ({known}).",
        field="policy",
    )


def setting_policy(setting: Setting, *, surface: str, arms: Sequence[str], options: BanditOptions = DEFAULTS) -> Policy:
    """How a surface set so would choose, by what the units that it is given have taught."""

    def learned(units: Sequence[Unit]) -> Chooser:
        tally = Tally(options=options)
        for unit in units:
            tally.add(ArmName(surface, unit.segment, unit.arm), unit.reward, unit.at)
        state = State(tally.arms, tally.turns, {surface: setting}, options=options)
        return lambda segment: state.chances(surface=surface, segment=segment, arms=arms)

    return learned


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None
