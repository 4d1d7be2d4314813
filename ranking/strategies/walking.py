"""Cases of a past stretch of the log: what somebody's candidates were at a moment, and what she took next (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.strategies.depth import DEPTHS
from ranking.strategies.fitting import Case
from ranking.strategies.mixing import evidence_of, proposals
from ranking.strategies.nearness import nearness
from ranking.strategies.next_for_you import lately
from ranking.visits.asked import Asked, Floats, Ints, Pool, stretched
from ranking.visits.memory import Memory
from ranking.visits.sizes import CONTENT_ITEMS, ITEMS

LOOKED_AT = DEPTHS[50]


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody (None: nobody known) took a product, by row, at a time in seconds."""

    who: Any
    row: int
    kind: str
    at: float


@dataclass(frozen=True, slots=True)
class Shop:
    """N products of the shop: unit vectors (N, D), zeros where there is none, and when each arrived, (N,).

    `unrelated` is the cosine of products that have nothing to do with each other, by the encoder's head.
    """

    vectors: NDArray[np.float32]
    arrived_at: Floats
    unrelated: float


def dense_of(shop: Shop, asked: Asked) -> Floats:
    """Stretched cosine of each product with the context, (N,); NaN where nothing is known of either."""
    rows = asked.ids[:CONTENT_ITEMS] - 1
    unknown: NDArray[np.bool_] = ~np.asarray(shop.vectors.any(axis=1))
    counts = lately(asked)[: len(rows)]
    mean = counts @ shop.vectors[rows] if len(rows) else np.zeros(shop.vectors.shape[1])
    length = float(np.linalg.norm(mean))
    if length == 0.0:
        return np.full(len(unknown), np.nan)
    cosines = (shop.vectors @ (mean / length).astype(np.float32)).astype(np.float64)
    return np.where(unknown, np.nan, stretched(cosines, shop.unrelated))


def candidates_of(asked: Asked, *, shop: Shop, dense: Floats, popularity: Floats, now: float) -> Ints:
    """Rows of the candidates that serving would find at this moment."""
    found = [proposals(asked, LOOKED_AT.proposed) - 1]
    found += [_best(popularity[1], LOOKED_AT.popular), _best(popularity[0], LOOKED_AT.trending)]
    arrived = np.where(shop.arrived_at <= now, shop.arrived_at, -np.inf)
    found += [_best(arrived, LOOKED_AT.newest), _best(np.nan_to_num(dense, nan=-1.0), LOOKED_AT.nearest)]
    rows: Ints = np.unique(np.concatenate(found))
    known: Ints = rows[shop.arrived_at[rows] <= now]
    return known


def _best(values: Floats, most: int) -> Ints:
    return np.argpartition(-values, min(most, len(values) - 1))[:most]


def pool_of(memory: Memory, shop: Shop, asked: Asked, rows: Ints, *, dense: Floats, popularity: Floats) -> Pool:
    """These products as candidates; `dense` (N,) and `popularity` (4, N) are of all products."""
    items = shop.vectors[asked.ids[:CONTENT_ITEMS] - 1]
    near = nearness(asked, rows + 1, shop.vectors[rows], items, unrelated=shop.unrelated)
    pool = memory.pool(rows, now=asked.now, dense=dense, popularity=popularity)
    return replace(pool, nearest=near.nearest, around=near.around)


def case_of(
    memory: Memory,
    shop: Shop,
    who: Any,
    taken: Sequence[int],
    *,
    now: float,
    again: bool = True,
    items: int = ITEMS,
    within: bool = True,
) -> Case:
    """The case of somebody who took these products next, from her `items` newest ones; these are candidates too if `within`.

    Without `again` what she had before is no candidate.

    What she took is one only if serving would have found it: put among candidates that all have something to say for
    themselves, what nothing spoke for would teach that evidence is a bad sign.
    """
    asked = memory.asked(who, now=now, most=items)
    dense, popularity = dense_of(shop, asked), memory.popularity(now)
    rows = candidates_of(asked, shop=shop, dense=dense, popularity=popularity, now=now)
    if not again:
        rows = rows[~np.isin(rows, asked.owned["id"] - 1)]
    if not within:
        rows = rows[~np.isin(rows, asked.ids - 1)]
    pool = pool_of(memory, shop, asked, rows, dense=dense, popularity=popularity)
    return Case(evidence_of(asked, pool), np.isin(rows, taken))


def cases_walk(
    visits: Iterable[Taken],
    *,
    memory: Memory,
    shop: Shop,
    after: float,
    share: float,
    seed: int,
    again: bool = True,
    items: int = ITEMS,
    within: bool = True,
) -> list[Case]:
    """Walk visits in the order of their time and make a case of a sampled share of those later than `after`.

    What happened at one moment is not known at that moment.
    """
    chance = np.random.default_rng(seed)
    found: list[Case] = []
    waiting: list[Taken] = []
    for each in visits:
        if waiting and each.at > waiting[0].at:
            _remember(memory, waiting)
            waiting = []
        new = again or (each.row + 1) not in memory.owned.get(each.who, ())
        if each.at > after and each.who is not None and new and chance.random() < share:
            case = case_of(memory, shop, each.who, [each.row], now=each.at, again=again, items=items, within=within)
            found.append(case)
        waiting.append(each)
    _remember(memory, waiting)
    return found


def _remember(memory: Memory, visits: Sequence[Taken]) -> None:
    for each in visits:
        memory.add(each.who, each.row, each.kind, each.at)
