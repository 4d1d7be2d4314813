"""Lists that were shown for one query, taken together: one list of what was gained from each product per look at it (pure).

One shopper's click says little; that of twenty who looked at a product eight wanted it says much. Pairs of rates are
learned instead of pairs of accidents, and a query counts once, however often it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ranking.learning.examples import Example
from ranking.weights.factors import examination


def pooled(examples: Sequence[Example], *, looks: float, curve: Sequence[float] = ()) -> list[Example]:
    """Return one example a query for those that were shown, and the others as they are.

    The gain of a product is (R + looks · b) / (E + looks): R what was gained from it, E the looks at it by its ranks, b what
    a look gains on average. Its weight is E / (E + looks). Gains of a query are scaled so that its pairs, each as the losses
    count it, come to 1. `curve` is how likely ranks are looked at.
    """
    shown = [each for each in examples if each.shown and len(each.ranks)]
    exposures = [examination(each.ranks, curve) for each in shown]
    total = sum(float(looked.sum()) for looked in exposures)
    base = sum(float(each.gains.sum()) for each in shown) / total if total else 0.0
    sums: dict[str, dict[int, list[float]]] = {}
    for each, looked in zip(shown, exposures, strict=True):
        of_query = sums.setdefault(each.key, {})
        for row, gain, look in zip(each.products.tolist(), each.gains.tolist(), looked.tolist(), strict=True):
            of_product = of_query.setdefault(row, [0.0, 0.0])
            of_product[0] += gain
            of_product[1] += look
    newest = {each.key: each for each in shown}
    others = [each for each in examples if not (each.shown and len(each.ranks))]
    return [*others, *(_example(newest[key], of_query, base, looks) for key, of_query in sums.items())]


def _example(newest: Example, sums: dict[int, list[float]], base: float, looks: float) -> Example:
    gained, looked = np.array(list(sums.values()), dtype=np.float64).T
    gains, weights = (gained + looks * base) / (looked + looks), looked / (looked + looks)
    more = np.maximum(gains[:, None] - gains[None, :], 0.0)  # (P, P)
    pairs = float((more * np.outer(weights, weights)).sum())
    return replace(
        newest,
        products=np.array(list(sums), dtype=np.int64),
        gains=(gains / pairs if pairs > 0 else gains).astype(np.float32),
        weights=weights.astype(np.float32),
        ranks=np.zeros(0, dtype=np.int64),
    )
