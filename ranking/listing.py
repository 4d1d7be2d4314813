"""Rules and relations in a search: what they need of the candidates, and the list that they make of them.

What they do is decided in `ranking/rules/arrange.py`; this is how a search asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ranking.retrieval import Candidates
from ranking.rules.arrange import arrange
from ranking.rules.moves import Move
from ranking.rules.rule import Shown, boost_of, rules_matched
from ranking.rules.selectors import Standing


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of candidates, best first, and what made it: `shown` and `moves` by candidate."""

    standing: Standing
    shown: Mapping[int, Shown]
    order: NDArray[np.int64]
    moves: Mapping[int, Sequence[Move]]

    def scalars(self, candidates: Candidates, page: Sequence[int]) -> dict[str, float]:
        """For the token: where rules saw another description version than the one scored (projections drain in turn)."""
        if not self.standing.rules:
            return {}
        seen = {i: self.shown[i].version for i in page}
        return {
            f"c{candidates.ids[i]}": float(version)
            for i, version in seen.items()
            if version != candidates.text_versions[i]
        }


def candidates_boosted(standing: Standing, read: Callable[..., Candidates]) -> tuple[Candidates, dict[int, Shown]]:
    """Candidates with the operator's boosts in r, and what rules and relations look at of each.

    What is pinned is a candidate, and so is what replaces one: where retrieval did not find that, it is read once more.
    """
    candidates = read(wanted=standing.pinned)
    if standing.is_idle:
        return candidates, {}
    shown = standing.shown(candidates.ids)
    if awaited := standing.awaited(shown):
        candidates = read(wanted=[*standing.pinned, *awaited])
        shown = standing.shown(candidates.ids)
    by_candidate = {i: shown[id_] for i, id_ in enumerate(candidates.ids)}
    return replace(candidates, operator=candidates.operator * boosts(standing, by_candidate)), by_candidate


def boosts(standing: Standing, shown: Mapping[int, Shown]) -> NDArray[np.float64]:
    """What the rules multiply the operator's factor by, of candidates 0 to N - 1, (N,)."""
    matched = rules_matched(shown, standing.rules)
    return np.array([boost_of(matched.get(i, ())) for i in range(len(shown))], dtype=np.float64)


def listing_make(
    standing: Standing,
    shown: Mapping[int, Shown],
    order: NDArray[np.int64],
    fitting: NDArray[np.int64],
    *,
    by_score: bool,
) -> Listing:
    """Arrange all candidates; what is out of stock goes behind the `fitting` ones, if the shop asks for that."""
    if standing.is_idle:
        return Listing(standing, shown, order, {})
    placed = arrange(
        order.tolist(),
        shown,
        standing.rules,
        k=len(order),
        surface=standing.surface,
        key=standing.key,
        settings=standing.settings,
        fitting=frozenset(fitting.tolist()),
        by_score=by_score,
    )
    moves = {each.item: each.moves for each in placed if each.moves}
    return Listing(standing, shown, np.array([each.item for each in placed], dtype=np.int64), moves)
