"""Examples from click-throughs: what was gained from each product of a list, and how sure it is that it was looked at.

Deterministic for (log range, seed).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import log2

import numpy as np
from numpy.typing import NDArray

from feedback.joining import ClickThrough
from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.options import TrainOptions
from ranking.weights.factors import examination
from ranking.weights.options import VALUES


@dataclass(frozen=True, slots=True)
class Example:
    """A query with P products, by row of the catalogue, in the order shown; `gains` and `weights` are (P,).

    A gain is 0 for what was passed over. A weight is the probability that the product was looked at. `shown`: the
    products are those that the shopper saw, at these `ranks` (P,); else they are the one she clicked and the nearest others
    (an implied click-through).
    """

    position: int
    text: str
    key: str
    products: NDArray[np.int64]
    gains: Floats
    weights: Floats
    shown: bool
    ranks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def teaches(self) -> bool:
        """Whether something in it gained more than something else."""
        return len(self.gains) > 0 and float(self.gains.max()) > float(self.gains.min())


def examples_read(
    closed: Iterable[ClickThrough],
    *,
    catalogue: CatalogueAt,
    encode: Callable[[str], Floats],
    options: TrainOptions,
    clicked_for: dict[str, set[int]],
    curve: Sequence[float] = (),
) -> list[Example]:
    """Turn click-throughs of queries into examples, in their order; products that the catalogue lacks are left out.

    `encode` gives the parent tower's vector of a query, for mining; `clicked_for` the rows clicked for a query's key in
    the whole range, which are nobody's hard negatives; `curve` how likely ranks are looked at.
    """
    found = []
    for each in closed:
        if each.context_kind != "query" or each.context_key is None:
            continue
        known = [n for n, product_id in enumerate(each.items) if product_id in catalogue.rows]
        if not known:
            continue
        text, key = each.context_text or each.context_key, each.context_key
        if each.implied:
            avoid = clicked_for.get(key, set())
            found.append(_implied(each, catalogue, text, key, known, encode(text), avoid, options))
        else:
            found.append(_shown(each, catalogue, text, key, known, curve))
    return found


def clicked_rows(closed: Iterable[ClickThrough], catalogue: CatalogueAt) -> dict[str, set[int]]:
    """Rows of the products that gained something for each query's key."""
    found: dict[str, set[int]] = {}
    for each in closed:
        if each.context_key is not None:
            gained = {
                catalogue.rows[p] for p, kinds in each.outcomes.items() if p in catalogue.rows and gain(kinds) > 0
            }
            found.setdefault(each.context_key, set()).update(gained)
    return found


def narrowed(example: Example, known: NDArray[np.int64]) -> Example:
    """The same example without products of other rows."""
    there = np.isin(example.products, known)
    return replace(
        example, products=example.products[there], gains=example.gains[there], weights=example.weights[there]
    )


def gain(kinds: Collection[str]) -> float:
    """What a shopper did with a product, as a gain >= 0: log2(1 + its value), a click 1, a purchase 3.5, a dismissal 0."""
    return log2(1.0 + max(0.0, sum(VALUES[kind] for kind in kinds)))


def looked_at(ranks: Sequence[int], acted: Sequence[bool], curve: Sequence[float] = ()) -> Floats:
    """Probability that each of the products shown at these ranks (from 1) was looked at, (P,).

    1 down to the last one acted on: she read that far (skip above: Joachims et al., "Accurately Interpreting
    Clickthrough Data as Implicit Feedback", 2005). Below it, examination by rank, given that she got there: by the curve
    that was estimated of the shop, or the default one.
    """
    last = max((rank for rank, did in zip(ranks, acted, strict=True) if did), default=0)
    reach = examination(ranks, curve)
    given = np.minimum(reach / float(examination(last, curve)), 1.0) if last else reach
    return np.where(np.asarray(ranks) <= last, 1.0, given).astype(np.float32)


def _shown(
    each: ClickThrough, catalogue: CatalogueAt, text: str, key: str, known: list[int], curve: Sequence[float]
) -> Example:
    ranks = [(each.first_rank or 1) + n for n in known]
    kinds = [each.outcomes.get(each.items[n], []) for n in known]
    return Example(
        position=each.closed_position,
        text=text,
        key=key,
        products=np.array([catalogue.rows[each.items[n]] for n in known], dtype=np.int64),
        gains=np.array([gain(of) for of in kinds], dtype=np.float32),
        weights=looked_at(ranks, [bool(of) for of in kinds], curve),
        shown=True,
        ranks=np.array(ranks, dtype=np.int64),
    )


def _implied(
    each: ClickThrough,
    catalogue: CatalogueAt,
    text: str,
    key: str,
    known: list[int],
    vector: Floats,
    avoid: set[int],
    options: TrainOptions,
) -> Example:
    positive = [catalogue.rows[each.items[n]] for n in known]
    gains = [gain(each.outcomes.get(each.items[n], [])) for n in known]
    near = catalogue.nearest(vector, options.hard_negatives + len(avoid) + len(positive))
    mined = [int(row) for row in near if row not in avoid and row not in positive][: options.hard_negatives]
    return Example(
        position=each.closed_position,
        text=text,
        key=key,
        products=np.array(positive + mined, dtype=np.int64),
        gains=np.array(gains + [0.0] * len(mined), dtype=np.float32),
        weights=np.array([1.0] * len(positive) + [options.hard_weight] * len(mined), dtype=np.float32),
        shown=False,
    )
