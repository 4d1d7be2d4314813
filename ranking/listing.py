"""Rules and relations in a search: what they need of the candidates, and the list that they make of them.

What they do is decided in `ranking/rules/arrange.py`; this is how a search asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ranking.retrieval import Candidates
from ranking.rules.arrange import arrange
from ranking.rules.moves import Move
from ranking.rules.rule import Rule, Shown, boost_of, rules_matched
from ranking.rules.selectors import Standing


@dataclass(frozen=True, slots=True)
class Ruled:
    """What rules and relations look at of each candidate, and the rules that mean it; empty where nothing looks."""

    standing: Standing
    shown: Mapping[int, Shown] = field(default_factory=dict)
    matched: Mapping[int, Sequence[Rule]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of candidates, best first, and what moved each."""

    ruled: Ruled
    order: NDArray[np.int64]
    moves: Mapping[int, Sequence[Move]]

    def scalars(self, candidates: Candidates, page: Sequence[int]) -> dict[str, float]:
        """For the token: where rules saw another description version than the one scored (projections drain in turn)."""
        if not self.ruled.standing.rules:
            return {}
        seen = {i: self.ruled.shown[i].version for i in page}
        return {
            f"c{candidates.ids[i]}": float(version)
            for i, version in seen.items()
            if version != candidates.text_versions[i]
        }


def candidates_boosted(standing: Standing, read: Callable[..., Candidates]) -> tuple[Candidates, Ruled]:
    """Candidates with the operator's boosts in r, and what rules and relations look at of each.

    What is pinned is a candidate, and so is what replaces one: where retrieval did not find that, it is read once more.
    """
    candidates = read(wanted=standing.pinned)
    if standing.is_idle:
        return candidates, Ruled(standing)
    shown = standing.shown(candidates.ids)
    if awaited := standing.awaited(shown):
        candidates = read(wanted=[*standing.pinned, *awaited])
        shown = standing.shown(candidates.ids)
    by_candidate = {i: shown[id_] for i, id_ in enumerate(candidates.ids)}
    ruled = Ruled(standing, by_candidate, rules_matched(by_candidate, standing.rules))
    operator = candidates.operator.copy()
    for i, rules in ruled.matched.items():
        operator[i] *= boost_of(rules)
    return replace(candidates, operator=operator), ruled


def related(ruled: Ruled, candidates: Candidates, order: NDArray[np.int64]) -> tuple[Ruled, list[str]]:
    """What relations look at of the candidates to be listed, and their successors that are no candidates.

    Nothing is read where rules looked at all of them already.
    """
    standing = ruled.standing
    if standing.is_idle or standing.rules:
        return ruled, []
    listed = order.tolist()
    shown = standing.shown([candidates.ids[i] for i in listed])
    awaited = set(standing.awaited(shown)).difference(candidates.product_ids)
    return replace(ruled, shown={i: shown[candidates.ids[i]] for i in listed}), sorted(awaited)


def listing_make(
    ruled: Ruled, order: NDArray[np.int64], fitting: NDArray[np.int64], *, by_score: bool, taken: Collection[str] = ()
) -> Listing:
    """Arrange all candidates; what is out of stock goes behind the `fitting` ones, if the shop asks for that.

    `taken` are families that are not listed: of the products of the page, or in the basket.
    """
    standing = ruled.standing
    if standing.is_idle:
        return Listing(ruled, order, {})
    placed = arrange(
        order.tolist(),
        ruled.shown,
        standing.rules,
        k=len(order),
        surface=standing.surface,
        key=standing.key,
        settings=standing.settings,
        fitting=frozenset(fitting.tolist()),
        by_score=by_score,
        taken=taken,
        matched=ruled.matched,
    )
    moves = {each.item: each.moves for each in placed if each.moves}
    return Listing(ruled, np.array([each.item for each in placed], dtype=np.int64), moves)
