"""Facets: how the candidates of a search spread over brands, categories and prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventlog.database import rows
from ranking.filters import Facet

MOST_VALUES = 20
PRICE_BANDS = 5

_COUNTS: dict[Facet, str] = {
    "brand": """SELECT brand, count(*) FROM catalog_product WHERE id = ANY(%s::bigint[]) AND brand IS NOT NULL
                 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    "category": """SELECT c.value, count(*) FROM catalog_product p CROSS JOIN LATERAL unnest(p.category) AS c (value)
                    WHERE p.id = ANY(%s::bigint[]) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    # bands that hold about as many products each; a band is a filter of its own: price:10..50
    "price": """SELECT concat(min(price), '..', max(price)), count(*)
                  FROM (SELECT price, ntile(%s) OVER (ORDER BY price) AS band
                          FROM catalog_product WHERE id = ANY(%s::bigint[]) AND price IS NOT NULL) b
                 GROUP BY band ORDER BY band""",
}


def facets_count(ids: Sequence[int], facets: Sequence[Facet]) -> dict[str, list[dict[str, Any]]]:
    """Count the values of each facet over these products: {"brand": [{"value": "Trevi", "count": 12}]}."""
    counted: dict[str, list[dict[str, Any]]] = {}
    for facet in facets:
        params = [PRICE_BANDS, list(ids)] if facet == "price" else [list(ids), MOST_VALUES]
        counted[facet] = [{"value": value, "count": count} for value, count in rows(_COUNTS[facet], params)]
    return counted
