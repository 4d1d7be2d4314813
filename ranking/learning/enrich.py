"""What examples are trained with besides what shoppers saw: mined negatives, and products related to those they wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import orjson

from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.examples import Example
from ranking.learning.options import TrainOptions
from ranking.weights.factors import examination

Related = Mapping[int, Sequence[int]]


def enriched(
    examples: Sequence[Example],
    *,
    catalogue: CatalogueAt,
    encode: Callable[[str], Floats],
    options: TrainOptions,
    clicked_for: Mapping[str, set[int]],
    curve: Sequence[float] = (),
) -> list[Example]:
    """Return the examples with related products as weak positives and, of shown lists, the nearest others as negatives;
    clicks far down count more.

    `encode` gives the parent tower's vector of a query. For training alone: judged and calibrated is by what was shown.
    """
    related = related_rows(catalogue) if options.relation_weight else {}
    found = []
    for example in examples:
        clicked = clicked_for.get(example.key, set())
        if len(example.ranks) and options.inverse_propensity > 1:
            example = _by_propensity(example, curve, options.inverse_propensity)
        if options.relation_weight:
            example = _with_related(example, related, clicked, options.relation_weight)
        if example.shown and options.shown_hard_negatives:
            example = _with_nearest(example, catalogue, encode(example.text), clicked, options)
        found.append(example)
    return found


def _by_propensity(example: Example, curve: Sequence[float], most: float) -> Example:
    """Each product that gained stands for those who would have wanted it and did not look so far down.

    Joachims, Swaminathan and Schnabel, "Unbiased Learning-to-Rank with Biased Feedback", 2017; clipped.
    """
    inverse = np.minimum(1 / examination(example.ranks, curve), most)
    weights = np.where(example.gains > 0, example.weights * inverse, example.weights)
    return replace(example, weights=weights.astype(np.float32))


def related_rows(catalogue: CatalogueAt) -> dict[int, list[int]]:
    """Rows of the products that each row's product names as related, or that name it."""
    found: dict[int, set[int]] = {}
    for row, content in enumerate(catalogue.contents):
        for relation in orjson.loads(content).get("relations") or ():
            other = catalogue.rows.get(relation["product_id"])
            if other is not None and other != row:
                found.setdefault(row, set()).add(other)
                found.setdefault(other, set()).add(row)
    return {row: sorted(others) for row, others in found.items()}


def _with_related(example: Example, related: Related, clicked: set[int], weight: float) -> Example:
    """Each counts as the most wanted product that it goes with, at a small weight."""
    gains: dict[int, float] = {}
    known = {*example.products.tolist(), *clicked}
    for row, gain in zip(example.products.tolist(), example.gains.tolist(), strict=True):
        for other in related.get(row, ()) if gain > 0 else ():
            if other not in known:
                gains[other] = max(gain, gains.get(other, 0.0))
    return _longer(example, list(gains), list(gains.values()), weight)


def _with_nearest(
    example: Example, catalogue: CatalogueAt, vector: Floats, clicked: set[int], options: TrainOptions
) -> Example:
    known = {*example.products.tolist(), *clicked}
    near = catalogue.nearest(vector, options.shown_hard_negatives + len(known)).tolist()
    mined = [row for row in near if row not in known][: options.shown_hard_negatives]
    return _longer(example, mined, [0.0] * len(mined), options.shown_hard_weight)


def _longer(example: Example, rows: list[int], gains: list[float], weight: float) -> Example:
    return replace(
        example,
        products=np.concatenate([example.products, np.array(rows, dtype=np.int64)]),
        gains=np.concatenate([example.gains, np.array(gains, dtype=np.float32)]),
        weights=np.concatenate([example.weights, np.full(len(rows), weight, dtype=np.float32)]),
    )
