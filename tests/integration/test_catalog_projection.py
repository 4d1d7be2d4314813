"""The product table: what the log says, however it is cut, rebuilt the same."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.decisions import described
from catalog.inputs import ProductIn
from catalog.projections import products
from catalog.services import description_restore, product_retire, products_upsert
from eventlog.consume import drain as drain_one
from eventlog.database import query, rows
from eventlog.rebuild import rebuild
from eventlog.selectors import last_position, read
from eventlog.services import sequence
from tests.cast import PRODUCTS, SHOP_ID, TEN_O_CLOCK, SmallShop, drain


def tables() -> tuple[list[Any], ...]:
    return (
        rows("SELECT * FROM catalog_product ORDER BY id"),
        rows("SELECT * FROM catalog_descriptionversion ORDER BY position"),
        rows("SELECT * FROM catalog_relation ORDER BY 1, 2, 3, 4"),
        rows("SELECT * FROM catalog_variant ORDER BY 1, 2"),
    )


def a_busy_day(shop: SmallShop) -> None:
    shop.offer(*PRODUCTS)
    shop.offer(*(product | {"price": 1.0 + n} for n, product in enumerate(PRODUCTS)))
    shop.revise_description("mug", "New words.")
    description_restore(shop_id=SHOP_ID, product_id="mug", version=1, now=TEN_O_CLOCK)
    shop.offer({"product_id": "mug", "title": "Bare mug"})
    shop.retire("novel")
    shop.offer(
        related("mug", "beaker"), related("beaker", "kettle"), related("茶杯", "cup"), related("耳机", "headphones")
    )
    shop.offer(related("beaker", "teapot"), related("耳机"), related("cup", "茶杯"))


def related(product_id: str, *variants: str) -> dict[str, Any]:
    """A product that is a variant of others."""
    relations = [{"kind": "variant_of", "product_id": each} for each in variants]
    return {"product_id": product_id, "title": product_id, "relations": relations}


def test_a_rebuilt_table_equals_the_live_one(empty_shop: SmallShop) -> None:
    a_busy_day(empty_shop)
    live = tables()

    assert rebuild("products") == last_position()
    assert tables() == live
    assert len(live[0]) == len(PRODUCTS) + 1


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_it_does_not_matter_how_the_log_is_cut(empty_shop: SmallShop, batch: int) -> None:
    a_busy_day(empty_shop)
    live = tables()
    query("TRUNCATE catalog_product, catalog_descriptionversion, catalog_relation, catalog_variant")

    for after in range(0, last_position(), batch):
        products.apply(read(after=after, to=min(after + batch, last_position()), types=products.event_types))

    assert tables() == live


def test_the_id_of_a_product_is_the_position_of_its_first_event(empty_shop: SmallShop) -> None:
    a_busy_day(empty_shop)

    first: dict[str, int] = dict(rows("SELECT product_id, min(position) FROM catalog_descriptionversion GROUP BY 1"))
    assert dict(rows("SELECT product_id, id FROM catalog_product")) == first


def test_text_shows_only_once_its_event_has_a_position(empty_shop: SmallShop) -> None:
    products_upsert(shop_id=SHOP_ID, items=PRODUCTS, origin="api", now=TEN_O_CLOCK)
    drain_one(products)
    assert tables() == ([], [], [], [])

    drain()
    assert len(tables()[0]) == len(PRODUCTS)


def test_an_old_event_that_is_applied_late_does_not_win(shop: SmallShop) -> None:
    """A parked event that is retried stands at a later position than the ones that came after it."""
    shop.revise_description("mug", "New words.")
    live = tables()
    old = read(after=0, to=last_position(), types={described(ProductIn(product_id="m", title="M"), origin="api").type})

    products.apply([event for event in old if event.data["product_id"] == "mug"][:1])

    assert tables() == live


def test_hostile_texts_come_back_as_they_went_in(empty_shop: SmallShop) -> None:
    text = "<script>alert(1)</script> '; DROP TABLE catalog_product; -- \\ \" {} [] %s \u202e 🎉 مرحبا 青花瓷"
    item = {"product_id": text, "title": text, "description": text, "brand": text, "category": [text, "a,b", "{}"],
            "attributes": {text: [text]}}  # fmt: skip
    empty_shop.offer(item)

    found = rows("SELECT product_id, title, description, brand, category, attributes->%s FROM catalog_product", [text])
    assert found[0][:5] == (text, text, text, text, [text, "a,b", "{}"])


def test_retiring_keeps_the_row_and_the_history(shop: SmallShop) -> None:
    product_retire(shop_id=SHOP_ID, product_id="mug", now=TEN_O_CLOCK)
    sequence()
    drain()

    [(retired_at, version)] = rows("SELECT retired_at, offer_version FROM catalog_product WHERE product_id = 'mug'")
    assert retired_at is not None
    assert version == 2
    assert rows("SELECT version FROM catalog_descriptionversion WHERE product_id = 'mug'") == [(1,)]
