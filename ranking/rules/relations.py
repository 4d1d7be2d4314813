"""What lists read of products: brand, category, stock, family and successors, set-based; and what goes with a basket."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.database import rows
from ranking.rules.rule import Shown
from ranking.vector_formats import ids_text

MOST_ACCESSORIES = 100

# `newer`: what replaces a product, in any number of steps; UNION ends where products replace each other
_SHOWN = """
WITH RECURSIVE listed AS MATERIALIZED (
  SELECT id, shop_id, product_id, brand, category, in_stock, description_version
    FROM catalog_product WHERE shop_id = %(shop)s AND id = ANY(%(ids)s::bigint[])
), newer (id, product_id) AS (
  SELECT l.id, r.product_id FROM listed l
    JOIN catalog_relation r ON r.shop_id = l.shop_id AND r.kind = 'replaces' AND r.other_id = l.product_id
  UNION
  SELECT n.id, r.product_id FROM newer n
    JOIN catalog_relation r ON r.shop_id = %(shop)s AND r.kind = 'replaces' AND r.other_id = n.product_id
), successor AS (
  SELECT n.id, array_agg(n.product_id ORDER BY n.product_id) AS ids
    FROM newer n JOIN catalog_product p ON p.shop_id = %(shop)s AND p.product_id = n.product_id
   WHERE p.retired_at IS NULL GROUP BY n.id
)
SELECT l.id, l.product_id, l.brand, l.category, l.in_stock, coalesce(v.family, l.product_id), coalesce(s.ids, '{}'),
       l.description_version
  FROM listed l
  LEFT JOIN catalog_variant v ON v.shop_id = l.shop_id AND v.product_id = l.product_id
  LEFT JOIN successor s ON s.id = l.id"""


# for rules alone
_NAMED = """
SELECT id, product_id, brand, category, description_version
  FROM catalog_product WHERE shop_id = %(shop)s AND id = ANY(%(ids)s::bigint[])"""


def named_read(*, shop_id: int, ids: Sequence[int]) -> dict[int, Shown]:
    """What rules look at of these products, by internal id, without stock and relations."""
    return {
        id_: Shown(product_id=product_id, brand=brand, category=tuple(category), version=version)
        for id_, product_id, brand, category, version in rows(_NAMED, {"shop": shop_id, "ids": ids_text(ids)})
    }


def shown_read(*, shop_id: int, ids: Sequence[int]) -> dict[int, Shown]:
    """What rules and relations look at of these products, by internal id; run it in the snapshot of the answer."""
    return {
        id_: Shown(
            product_id=product_id,
            brand=brand,
            category=tuple(category),
            in_stock=in_stock,
            family=family,
            successors=tuple(successors),
            version=version,
        )
        for id_, product_id, brand, category, in_stock, family, successors, version in rows(
            _SHOWN, {"shop": shop_id, "ids": ids_text(ids)}
        )
    }


# an accessory of a product is one of its variants; those that go with most of the basket first
_ACCESSORIES = """
WITH owned AS (
  SELECT g.product_id FROM unnest(%(products)s::text[]) AS g (product_id)
  UNION
  SELECT m.product_id FROM unnest(%(products)s::text[]) AS g (product_id)
    JOIN catalog_variant v ON v.shop_id = %(shop)s AND v.product_id = g.product_id
    JOIN catalog_variant m ON m.shop_id = v.shop_id AND m.family = v.family
), fitting AS (
  SELECT r.product_id, count(DISTINCT coalesce(v.family, r.other_id)) AS products
    FROM owned o
    JOIN catalog_relation r ON r.shop_id = %(shop)s AND r.kind = 'accessory_of' AND r.other_id = o.product_id
    LEFT JOIN catalog_variant v ON v.shop_id = r.shop_id AND v.product_id = r.other_id
   WHERE r.product_id NOT IN (SELECT product_id FROM owned)
   GROUP BY r.product_id
)
SELECT p.product_id FROM fitting f
  JOIN catalog_product p ON p.shop_id = %(shop)s AND p.product_id = f.product_id AND p.retired_at IS NULL
 ORDER BY f.products DESC, p.in_stock DESC, p.product_id LIMIT %(most)s"""


def accessories_of(*, shop_id: int, product_ids: Sequence[str], most: int = MOST_ACCESSORIES) -> list[str]:
    """Live products that are an accessory of one of these, or of a variant of one; what fits more of them comes first.

    Nothing that is among these already, nor a variant of it.
    """
    found = rows(_ACCESSORIES, {"shop": shop_id, "products": list(product_ids), "most": most})
    return [product_id for (product_id,) in found]


_FAMILIES = """
SELECT coalesce(v.family, g.product_id) FROM unnest(%s::text[]) AS g (product_id)
  LEFT JOIN catalog_variant v ON v.shop_id = %s AND v.product_id = g.product_id"""


def families_of(shop_id: int, product_ids: Sequence[str]) -> frozenset[str]:
    """What each of these products shares with its variants."""
    if not product_ids:
        return frozenset()
    return frozenset(family for (family,) in rows(_FAMILIES, [list(product_ids), shop_id]))
