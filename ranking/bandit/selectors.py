"""What an operator sees of the bandit: each surface's arms, what is believed of them, and how likely each is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from eventlog.database import rows
from ranking.bandit.choosing import Setting, State
from ranking.bandit.state import state_read
from ranking.bandit.sums import Turn, segments_of
from ranking.mix_state import arms
from ranking.strategies.mixes import SURFACES, Surface

_SET = "SELECT surface, set_at, estimate::text, forced FROM ranking_banditset WHERE shop_id = %s"


def arms_known(state: State, *, shop_id: int, surface: Surface) -> list[str]:
    """Arms that a surface has, and those that were ever shown on it, in order."""
    shown = {name.arm for name in state.arms if name.surface == surface}
    return sorted(shown | set(arms_offered(shop_id, surface)))


def arms_offered(shop_id: int, surface: Surface) -> list[str]:
    """Arms that an answer on a surface is made by now, in order."""
    return sorted(mix.name for mix in arms(shop_id, surface))


def setting_dict(setting: Setting) -> dict[str, Any]:
    """As the API has it."""
    return {"explore": setting.explore, "fixed": setting.fixed, "off": list(setting.off)}


def strategies_answer(*, shop_id: int) -> dict[str, Any]:
    """Every surface of a shop, with its segments and their arms."""
    state = state_read(shop_id)
    said = {
        surface: {"set_at": set_at.isoformat(), "estimate": orjson.loads(estimate or "null"), "forced": forced}
        for surface, set_at, estimate, forced in rows(_SET, [shop_id])
    }
    never = {"set_at": None, "estimate": None, "forced": None}
    return {
        "as_of_position": state.position,
        "surfaces": [_surface(state, shop_id, surface) | said.get(surface, never) for surface in SURFACES],
    }


def _surface(state: State, shop_id: int, surface: Surface) -> dict[str, Any]:
    names = [name for name in state.arms if name.surface == surface]
    offered = arms_offered(shop_id, surface)
    known = arms_known(state, shop_id=shop_id, surface=surface)
    return {
        "surface": surface,
        **setting_dict(state.setting(surface)),
        "arms": offered,
        "trials": state.turns.get(surface, Turn()).number,
        "segments": [_segment(state, surface, segment, offered, known) for segment in segments_of(names)],
    }


def _segment(state: State, surface: str, segment: str, offered: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """What is believed of all arms that are known; one that is not offered any more is not shown."""
    chances = state.chances(surface=surface, segment=segment, arms=offered)
    believed = state.posterior(surface, segment, known)
    low, high = believed.interval()
    return {
        "segment": segment,
        "arms": [
            _arm(state, surface, segment, arm, chances)
            | {"mean": float(believed.means[n]), "low": float(low[n]), "high": float(high[n])}
            for n, arm in enumerate(known)
        ],
    }


def _arm(state: State, surface: str, segment: str, arm: str, chances: Mapping[str, float]) -> dict[str, Any]:
    sums = next((each for name, each in state.surface(surface).items() if name[1:] == (segment, arm)), None)
    return {
        "arm": arm,
        "propensity": chances.get(arm, 0.0),
        "trials": sums.count if sums else 0,
        "trials_remembered": sums.trials if sums else 0.0,
    }
