"""How products stand to each other: the edges that descriptions name, and the families that `variant_of` makes.

Written by the projection `products` in the transaction of the products themselves, after their rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eventlog.database import query, rows

Node = tuple[int, str]  # shop, product id

_DROP = """
DELETE FROM catalog_relation r USING unnest(%s::integer[], %s::text[]) AS g (shop_id, product_id)
 WHERE r.shop_id = g.shop_id AND r.product_id = g.product_id
RETURNING r.shop_id, r.product_id, r.other_id, r.kind"""

# from the product's row, not from the event: of several versions the row holds the newest
_INSERT = """
INSERT INTO catalog_relation (shop_id, product_id, kind, other_id)
SELECT DISTINCT p.shop_id, p.product_id, e.kind, e.product_id
  FROM unnest(%s::integer[], %s::text[]) AS g (shop_id, product_id)
  JOIN catalog_product p ON p.shop_id = g.shop_id AND p.product_id = g.product_id
 CROSS JOIN LATERAL jsonb_to_recordset(p.relations) AS e (kind text, product_id text)
RETURNING shop_id, product_id, other_id, kind"""


def relations_apply(products: Iterable[Node]) -> None:
    """Bring the edges of these products up to what their rows say, and the families that this changes."""
    shops, ids = _columns(sorted(set(products)))
    before, after = set(rows(_DROP, [shops, ids])), set(rows(_INSERT, [shops, ids]))
    moved = [(shop_id, end) for shop_id, *ends, kind in before ^ after if kind == "variant_of" for end in ends]
    if moved:
        _families(set(moved))


# all that is connected with these, each once; and every edge among them
_CONNECTED = """
WITH RECURSIVE reached (shop_id, product_id) AS (
  SELECT * FROM unnest(%s::integer[], %s::text[]) AS g (shop_id, product_id)
  UNION
  SELECT r.shop_id, e.product_id FROM reached r CROSS JOIN LATERAL (
    SELECT t.other_id FROM catalog_relation t
     WHERE t.shop_id = r.shop_id AND t.product_id = r.product_id AND t.kind = 'variant_of'
    UNION ALL
    SELECT t.product_id FROM catalog_relation t
     WHERE t.shop_id = r.shop_id AND t.other_id = r.product_id AND t.kind = 'variant_of') e (product_id)
)
SELECT r.shop_id, r.product_id, e.other_id
  FROM reached r LEFT JOIN catalog_relation e
    ON e.shop_id = r.shop_id AND e.product_id = r.product_id AND e.kind = 'variant_of'"""


def _families(changed: Iterable[Node]) -> None:
    found = rows(_CONNECTED, list(_columns(sorted(changed))))
    nodes = sorted({(shop_id, product_id) for shop_id, product_id, _ in found})
    joined = families(((shop_id, a), (shop_id, b)) for shop_id, a, b in found if b is not None)
    query(
        """DELETE FROM catalog_variant v USING unnest(%s::integer[], %s::text[]) AS g (shop_id, product_id)
            WHERE v.shop_id = g.shop_id AND v.product_id = g.product_id""",
        list(_columns(nodes)),
    )
    query(
        """INSERT INTO catalog_variant (shop_id, product_id, family)
           SELECT * FROM unnest(%s::integer[], %s::text[], %s::text[])""",
        [*_columns(list(joined)), [family for _, family in joined.values()]],
    )


def families(edges: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """The smallest node that each node is connected with, in any number of steps (pure)."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for one, other in edges:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    return {node: root(node) for node in list(parent)}


def _columns(nodes: Sequence[Node]) -> tuple[list[int], list[str]]:
    return [shop_id for shop_id, _ in nodes], [product_id for _, product_id in nodes]
