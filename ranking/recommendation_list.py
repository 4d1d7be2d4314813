"""From scored candidates to those that are arranged: what is not wanted goes, then variety, then places for newcomers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.diversity import CANDIDATES, diversify
from ranking.diversity_setting import DiversityOptions
from ranking.listing import Listing, Ruled, listing_make, related
from ranking.product_vectors import product_vectors
from ranking.retrieval import Candidates
from ranking.scoring import Scores
from ranking.strategies.candidates import Found
from ranking.strategies.newcomers import with_newcomers
from ranking.visits.asked import Asked

ARRANGED = 100  # of the best, and three pages at least, are looked at where no rule looks at all


@dataclass(frozen=True, slots=True)
class Shelf:
    """The list, and the share of expected reward that its variety gives away."""

    listing: Listing
    cost: float


def shelf_make(
    *,
    asked: Asked,
    found: Found,
    ruled: Ruled,
    scores: Scores,
    k: int,
    again: bool,
    variety: DiversityOptions,
    table: str | None,
    taken: Collection[str] = (),
) -> tuple[Shelf, list[str]]:
    """List the candidates; and the successors of listed products that are no candidates, with which it is to be made anew.

    `again`: what the shopper bought may be shown again; `taken` families are not listed.
    """
    best = ordered(asked, found, scores, again=again, in_stock_first=ruled.standing.settings.out_of_stock != "keep")
    varied, cost = with_variety(best, found, scores, k=k, variety=variety, table=table)
    unvisited = (found.pool.numbers == 0).tolist()
    for most in (len(varied) if ruled.standing.rules else max(ARRANGED, 3 * k), len(varied)):
        placed = np.array(with_newcomers(varied, unvisited, most), dtype=np.int64)
        listing, awaited = listed(ruled, found.candidates, placed, taken)
        if len(listing.order) >= min(k, len(varied)):
            break  # as nearly always: where products have ten variants each, a page takes more of them
    return Shelf(listing, cost), awaited


def listed(
    ruled: Ruled, candidates: Candidates, order: NDArray[np.int64], taken: Collection[str]
) -> tuple[Listing, list[str]]:
    """Arrange these candidates, best first; and their successors that are no candidates."""
    known, awaited = related(ruled, candidates, order)
    return listing_make(known, order, order, by_score=True, taken=taken), awaited


def ordered(
    asked: Asked, found: Found, scores: Scores, *, again: bool, in_stock_first: bool = False
) -> NDArray[np.int64]:
    """Indices of the candidates, best first; ties by product_id. What the shopper dismissed is left out."""
    owned = asked.owned
    unwanted = owned["id"][~np.isnan(owned["dismissed_at"])]
    if not again:
        unwanted = np.concatenate([unwanted, owned["id"][owned["purchases"] > 0]])
    wanted = np.flatnonzero(~np.isin(found.pool.numbers, unwanted)).tolist()
    order = np.array(sorted(wanted, key=found.candidates.product_ids.__getitem__), dtype=np.int64)
    best: NDArray[np.int64] = order[np.argsort(-scores.score[order], kind="stable")]
    return best[np.argsort(~found.in_stock[best], kind="stable")] if in_stock_first else best


def with_variety(
    best: NDArray[np.int64], found: Found, scores: Scores, *, k: int, variety: DiversityOptions, table: str | None
) -> tuple[list[int], float]:
    """The same candidates with a first page that does not say one thing ten times, and what that costs."""
    head = best[: max(k, CANDIDATES)]
    if not len(head) or (variety.strength <= 0.0 and variety.most_per_group is None):
        return best.tolist(), 0.0
    groups = found.brands if variety.group_by == "brand" else found.categories
    vectors = _vectors(head.tolist(), found, table) if variety.strength > 0.0 else None
    done = diversify(
        scores.score[head],
        np.full((len(head), 1), np.nan, dtype=np.float32) if vectors is None else vectors,
        [groups[i] for i in head],
        k=k,
        strength=0.0 if vectors is None else variety.strength,
        most_per_group=variety.most_per_group,
    )
    first = head[done.order].tolist()
    chosen = set(first)
    return [*first, *(i for i in best.tolist() if i not in chosen)], done.cost


def _vectors(head: Sequence[int], found: Found, table: str | None) -> NDArray[np.float32] | None:
    candidates = found.candidates
    if table is None:
        return None
    return product_vectors(table, [candidates.ids[i] for i in head], [candidates.vector_versions[i] for i in head])
