"""Reading feedback: facts as of a position, closed click-throughs, and how fresh the answers were that shoppers saw."""

from __future__ import annotations

from collections.abc import Collection

from eventlog.database import rows


def product_numbers(shop_id: int, product_ids: Collection[str]) -> dict[str, int]:
    """Return the internal ids of those products that the catalogue knows."""
    if not product_ids:
        return {}
    sql = "SELECT product_id, id FROM catalog_product WHERE shop_id = %s AND product_id = ANY(%s::text[])"
    return dict(rows(sql, [shop_id, list(product_ids)]))
