"""Families of variants and edges between products follow their descriptions."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from catalog.relations import families
from eventlog.database import query, rows
from ranking.rules.relations import accessories_of, shown_read
from tests.cast import SHOP_ID, SmallShop

unhurried = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine too


def product(product_id: str, *relations: tuple[str, str], **more: Any) -> dict[str, Any]:
    members = [{"kind": kind, "product_id": other} for kind, other in relations]
    return {"product_id": product_id, "title": f"Thing {product_id}", "relations": members, **more}


def family_of() -> dict[str, str]:
    return dict(rows("SELECT product_id, family FROM catalog_variant WHERE shop_id = %s", [SHOP_ID]))


def successors(*product_ids: str) -> dict[str, tuple[str, ...]]:
    ids = [id_ for (id_,) in rows("SELECT id FROM catalog_product WHERE product_id = ANY(%s)", [list(product_ids)])]
    return {each.product_id: each.successors for each in shown_read(shop_id=SHOP_ID, ids=ids).values()}


def test_variants_of_variants_are_one_family_whatever_comes_first(empty_shop: SmallShop) -> None:
    empty_shop.offer(product("c", ("variant_of", "b")))
    empty_shop.offer(product("d", ("variant_of", "e")), product("b", ("variant_of", "a")))

    assert family_of() == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}


def test_a_family_falls_apart_when_a_description_says_so(empty_shop: SmallShop) -> None:
    empty_shop.offer(product("a"), product("b", ("variant_of", "a")), product("c", ("variant_of", "b")))

    empty_shop.offer(product("b"))

    assert family_of() == {"b": "b", "c": "b"}


def test_two_families_become_one(empty_shop: SmallShop) -> None:
    empty_shop.offer(product("b", ("variant_of", "a")), product("d", ("variant_of", "c")))

    empty_shop.offer(product("d", ("variant_of", "c"), ("variant_of", "b")))

    assert set(family_of().values()) == {"a"}


def test_other_relations_make_no_family(empty_shop: SmallShop) -> None:
    empty_shop.offer(product("a", ("accessory_of", "b"), ("replaces", "c"), ("replaces", "c")))

    assert family_of() == {}
    assert rows("SELECT product_id, kind, other_id FROM catalog_relation ORDER BY 2") == [
        ("a", "accessory_of", "b"),
        ("a", "replaces", "c"),
    ]


def test_successors_are_live_products_however_many_steps_away(empty_shop: SmallShop) -> None:
    empty_shop.offer(
        product("v1"), product("v2", ("replaces", "v1")), product("v3", ("replaces", "v2")),
        product("x", ("replaces", "y")), product("y", ("replaces", "x")),
    )  # fmt: skip
    assert successors("v1", "v2", "v3") == {"v1": ("v2", "v3"), "v2": ("v3",), "v3": ()}

    empty_shop.retire("v2")

    assert successors("v1", "x") == {"v1": ("v3",), "x": ("x", "y")}


def test_accessories_of_a_basket_are_those_of_its_variants_too_best_fit_first(empty_shop: SmallShop) -> None:
    empty_shop.offer(
        product("camera"), product("camera-red", ("variant_of", "camera")), product("phone"),
        product("bag", ("accessory_of", "camera"), ("accessory_of", "phone")),
        product("strap", ("accessory_of", "camera"), in_stock=False),
        product("lens", ("accessory_of", "camera")),
        product("case", ("accessory_of", "phone")),
        product("old-lens", ("accessory_of", "camera")),
    )  # fmt: skip
    empty_shop.retire("old-lens")

    assert accessories_of(shop_id=SHOP_ID, product_ids=["camera-red", "phone"]) == ["bag", "case", "lens", "strap"]
    assert accessories_of(shop_id=SHOP_ID, product_ids=["camera-red", "lens"]) == ["bag", "strap"]
    assert accessories_of(shop_id=SHOP_ID, product_ids=["camera"], most=1) == ["bag"]
    assert accessories_of(shop_id=SHOP_ID, product_ids=["unknown"]) == []


def test_a_shop_that_was_there_before_these_tables_gets_them_filled(empty_shop: SmallShop) -> None:
    empty_shop.offer(
        product("c", ("variant_of", "b")), product("b", ("variant_of", "a")), product("x", ("replaces", "a")),
        product("d", ("variant_of", "e"), ("variant_of", "e")), product("plain"),
    )  # fmt: skip
    live = rows("SELECT * FROM catalog_relation ORDER BY 1, 2, 3, 4"), family_of()
    query("TRUNCATE catalog_relation, catalog_variant")

    for statement in import_module("catalog.migrations.0002_relations").FILL:
        query(statement)

    assert (rows("SELECT * FROM catalog_relation ORDER BY 1, 2, 3, 4"), family_of()) == live


nodes = st.tuples(st.integers(1, 2), st.sampled_from("abcdefg"))


@unhurried
@given(st.lists(st.tuples(nodes, nodes), max_size=12))
def test_a_family_is_what_is_connected_under_its_smallest_name(edges: list[Any]) -> None:
    found = families(edges)

    assert found.keys() == {node for edge in edges for node in edge}
    assert all(found[one] == found[other] for one, other in edges)
    assert all(family <= node and found[family] == family for node, family in found.items())


@pytest.mark.parametrize("edges", [[("a", "b"), ("c", "d")], [("a", "a")]])
def test_what_is_not_connected_is_not_one_family(edges: list[tuple[str, str]]) -> None:
    found = families(((1, one), (1, other)) for one, other in edges)

    assert len(set(found.values())) == len(edges)
