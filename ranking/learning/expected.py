"""How much more than average a version expects of each product where it was shown: what g must not count a second time.

g holds a product's rewards against what its exposure earns on average. A trained ŷ knows part of that already, so the
exposure counts by what this very version expects of it, as v does within a context.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ranking.learning.calibrate import Encode
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.examples import Example
from ranking.relevance import Head, relevance

PRIOR_EXPOSURE = 1.0  # looks at which a product's own expectation counts as much as the parent's


def expected_lifts(
    examples: Sequence[Example], *, encode: Encode, head: Head, catalogue: CatalogueAt, parent: Mapping[str, float]
) -> dict[str, float]:
    """Per product id, Σ E · ŷ/ȳ_q over Σ E of where it was shown, drawn towards the parent's (1 where it has none).

    E is the probability that the product was looked at, ȳ_q the mean ŷ of what the query showed, weighted by E. Products
    that were not shown in these examples keep the parent's.
    """
    shown = [example for example in examples if example.shown]
    relevances = [
        relevance(catalogue.vectors[each.products] @ encode(each.text), catalogue.lexical(each.text)[each.products], head, "query")
        for each in shown
    ]  # fmt: skip
    mass: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for each, y in zip(shown, relevances, strict=True):
        mass[each.key][0] += float(each.weights @ y)
        mass[each.key][1] += float(each.weights.sum())
    lifted, exposure = np.zeros(len(catalogue.product_ids)), np.zeros(len(catalogue.product_ids))
    for each, y in zip(shown, relevances, strict=True):
        mean = mass[each.key][0] / mass[each.key][1]
        np.add.at(lifted, each.products, each.weights * y / mean)
        np.add.at(exposure, each.products, each.weights)
    found = dict(parent)
    for row in np.flatnonzero(exposure):
        product_id = catalogue.product_ids[row]
        before = PRIOR_EXPOSURE * parent.get(product_id, 1.0)
        found[product_id] = round(float((lifted[row] + before) / (exposure[row] + PRIOR_EXPOSURE)), 4)
    return found
