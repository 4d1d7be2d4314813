"""From scored candidates to the list that is shown: what is not wanted goes, variety, newcomers, then relations and rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventlog.database import rows
from ranking.diversity import CANDIDATES, diversify
from ranking.diversity_setting import DiversityOptions
from ranking.listing import Listing, Ruled, listing_make
from ranking.scoring import Scores
from ranking.strategies.candidates import Found
from ranking.strategies.newcomers import with_newcomers
from ranking.vector_formats import vectors_matrix
from ranking.visits.asked import Asked

ARRANGED = 300  # of the best: more than a page and all that rules may take from it


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
) -> Shelf:
    """List the candidates. `again`: what the shopper bought may be shown again; `taken` families are not listed."""
    best = ordered(asked, found, scores, again=again)
    varied, cost = with_variety(best, found, scores, k=k, variety=variety, table=table)
    placed = with_newcomers(varied, (found.pool.numbers == 0).tolist())
    order = np.array(placed[:ARRANGED], dtype=np.int64)
    return Shelf(listing_make(ruled, order, order, by_score=True, taken=taken), cost)


def ordered(asked: Asked, found: Found, scores: Scores, *, again: bool) -> NDArray[np.int64]:
    """Indices of the candidates, best first; ties by product_id. What the shopper dismissed is left out."""
    owned = asked.owned
    unwanted = owned["id"][~np.isnan(owned["dismissed_at"])]
    if not again:
        unwanted = np.concatenate([unwanted, owned["id"][owned["purchases"] > 0]])
    wanted = np.flatnonzero(~np.isin(found.pool.numbers, unwanted)).tolist()
    order = np.array(sorted(wanted, key=found.candidates.product_ids.__getitem__), dtype=np.int64)
    best: NDArray[np.int64] = order[np.argsort(-scores.score[order], kind="stable")]
    return best


def with_variety(
    best: NDArray[np.int64], found: Found, scores: Scores, *, k: int, variety: DiversityOptions, table: str | None
) -> tuple[list[int], float]:
    """The same candidates with a first page that does not say one thing ten times, and what that costs."""
    head = best[: max(k, CANDIDATES)]
    if not len(head) or (variety.strength <= 0.0 and variety.most_per_group is None):
        return best.tolist(), 0.0
    groups = found.brands if variety.group_by == "brand" else found.categories
    vectors = _vectors([found.candidates.ids[i] for i in head], table) if variety.strength > 0.0 else None
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


def _vectors(ids: Sequence[int], table: str | None) -> NDArray[np.float32] | None:
    """Vectors of products (N, D), rows of NaN where there is none; None where there are none at all."""
    if table is None:
        return None
    found: dict[int, Any] = dict(
        rows(f"SELECT document_id, vector FROM {table} WHERE document_id = ANY(%b::bigint[])", [list(ids)], binary=True)
    )
    if not found:
        return None
    matrix = vectors_matrix([bytes(vector) for vector in found.values()])
    vectors = np.full((len(ids), matrix.shape[1]), np.nan, dtype=np.float32)
    row_of = {id_: n for n, id_ in enumerate(ids)}
    vectors[[row_of[id_] for id_ in found]] = matrix
    return vectors
