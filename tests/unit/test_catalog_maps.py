"""Column maps: rows of a shop's file become products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from catalog.importers.mapping import MAPS, BadMap, ProductMap, map_read
from catalog.inputs import ProductIn


def product_map(**fields: Any) -> ProductMap:
    return ProductMap.model_validate({"fields": {"product_id": "id", "title": "name"} | fields})


@pytest.mark.parametrize(
    ("rule", "row", "value"),
    [
        ("maker", {"maker": "Trevi"}, "Trevi"),
        ("maker", {"maker": "  "}, None),
        (["maker", "brand"], {"maker": "", "brand": "HP"}, "HP"),
        ({"value": "Trevi"}, {}, "Trevi"),
        ({"from": "maker", "value": "unknown"}, {"maker": None}, "unknown"),
        ({"from": "maker", "values": {"n/a": None, "HP Inc.": "HP"}}, {"maker": "HP Inc."}, "HP"),
        ({"from": "maker", "values": {"n/a": None}}, {"maker": "n/a"}, None),
    ],
)
def test_a_field_comes_from_where_its_rule_says(rule: Any, row: dict[str, Any], value: object) -> None:
    assert product_map(brand=rule).product(row).get("brand") == value


@pytest.mark.parametrize(
    ("rule", "given", "price"),
    [
        ("p", "39.95", 39.95),
        ("p", 39, 39),
        ("p", "free", "free"),
        ({"from": "p", "divide": 100}, 4995, 49.95),
        ({"from": "p", "divide": 100}, "4995", 49.95),
        ({"from": "p", "decimal_comma": True}, "1.299,00", 1299.0),
    ],
)
def test_prices_are_read_as_numbers_or_left_to_be_refused(rule: Any, given: Any, price: object) -> None:
    assert product_map(price=rule).product({"p": given})["price"] == price


@pytest.mark.parametrize(
    ("given", "in_stock"), [("yes", True), ("Sold out", False), ("0", False), ("12", True), (3, True), (False, False)]
)
def test_stock_is_a_word_or_a_number_of_pieces(given: Any, in_stock: bool) -> None:
    assert product_map(in_stock="stock").product({"stock": given})["in_stock"] is in_stock


def test_a_category_may_be_a_path() -> None:
    rules = product_map(category={"from": "path", "split": ">"})

    assert rules.product({"path": "居家 > 被枕"})["category"] == ["居家", "被枕"]


def test_relations_are_texts_of_a_kind_and_a_product() -> None:
    row = {"id": "1", "title": "Mug", "relations": "variant_of: mug:blue; accessory_of:7;odd"}

    assert map_read("csv").product(row)["relations"] == [
        {"kind": "variant_of", "product_id": "mug:blue"},
        {"kind": "accessory_of", "product_id": "7"},
        "odd",  # to be refused under its name
    ]
    whole = product_map(relations="r").product({"r": [{"kind": "replaces", "product_id": "3"}]})
    assert whole["relations"] == [{"kind": "replaces", "product_id": "3"}]


def test_attributes_come_from_prefixes_columns_and_objects() -> None:
    rules = ProductMap.model_validate(
        {"fields": {}, "attributes": {"prefixes": ["attr_"], "columns": {"model": "name"}, "objects": ["more"]}}
    )
    row = {"attr_colour": "Red", "attr_empty": "", "name": "X-1", "more": {"w": 2}, "other": "dropped"}

    assert rules.product(row) == {"attributes": {"colour": "Red", "model": "X-1", "w": 2}}


def test_a_table_with_columns_that_nobody_knows_is_refused_at_once() -> None:
    with pytest.raises(BadMap, match="did you mean 'brand'"):
        map_read("csv").check_header(["sku", "name", "brnad"])


def test_a_table_without_an_id_is_refused_at_once() -> None:
    with pytest.raises(BadMap, match="No column for product_id"):
        map_read("csv").check_header(["name", "price"])


@pytest.mark.parametrize("name", sorted(path.stem for path in MAPS.glob("*.json")))
def test_the_maps_that_ship_can_be_read(name: str) -> None:
    assert {"product_id", "title"} <= map_read(name).fields.keys()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is not JSON"),
        (b"{}", "fields"),
        (b'{"fields": {"titel": "name"}}', "no field 'titel'; 'title'"),
        (b'{"fields": {"title": {"form": "name"}}}', "form"),
        (b'{"fields": {"price": {"from": "p", "divide": 0}}}', "divide"),
    ],
)
def test_a_map_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "map.json"
    path.write_bytes(content)

    with pytest.raises(BadMap, match=complaint):
        map_read(str(path))


def test_an_unknown_map_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadMap, match="chorus_icecat"):
        map_read("chorus")


def test_a_row_of_chorus_becomes_a_product() -> None:
    row = orjson.loads(
        '{"id": "1", "name": "M-1", "title": "Toner", "short_description": "Black", "supplier": "Xerox", "price": 4995,'
        '"date_released": "2009-12-10T00:00:00Z", "img_500x500": "http://x.example/1.jpg", "attr_t_product_type": "1",'
        '"attr_n_quantity": 6.0, "ean": ["0095205603217"]}'
    )
    product = ProductIn.model_validate(map_read("chorus_icecat").product(row))

    assert (product.price, product.currency, product.brand, product.category) == (49.95, "EUR", "Xerox", None)
    assert product.attributes == {"product_type": "1", "quantity": 6.0, "model": "M-1", "ean": ["0095205603217"]}
