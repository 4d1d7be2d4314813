"""Filters, facets and sort orders of GET /v1/search."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import PRODUCTS, Api, SmallShop

BY_ID = {product["product_id"]: product for product in PRODUCTS}


def ids(answer: Any) -> set[str]:
    return {item["product_id"] for item in answer.json()["items"]}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["brand:Laufgut"], {"sneakers", "trainers"}),
        (["brand:青瓷坊"], {"茶杯"}),
        (["brand:laufgut"], set()),
        (["brand:Laufgut", "brand:Trevi"], {"sneakers", "trainers", "speaker", "headphones"}),
        (["category:Cups"], {"mug", "beaker"}),
        (["category:Cups", "brand:Emalia"], {"beaker"}),
        (["category:厨房"], {"茶杯"}),
        (["price:10..20"], {"mug", "novel"}),
        (["price:12"], {"novel"}),
        (["price:..10"], {"beaker"}),
        (["price:119.."], {"trainers", "耳机"}),
        (["price:..10", "price:200.."], {"beaker", "耳机"}),
        (["price:50..10"], set()),
        (["in_stock:false"], {"novel"}),
        (["language:zh"], {"茶杯", "耳机"}),
        (["product_id:mug", "product_id:novel"], {"mug", "novel"}),
        (["attributes.colour:red"], {"sneakers"}),
        (["attributes.power_w:10"], {"speaker"}),
        (["attributes.colour:red", "attributes.power_w:10"], set()),
        (["brand:nobody's"], set()),
    ],
)
def test_filters_leave_what_they_say(shop: SmallShop, api: Api, filters: list[str], expected: set[str]) -> None:
    answer = api.get("/v1/search", q="mug", filter=filters, k=100)

    assert ids(answer) == expected
    assert answer.json()["total"] == len(expected)


def test_a_filter_value_may_hold_colons_and_signs(empty_shop: SmallShop, api: Api) -> None:
    odd = {"product_id": "odd", "title": "Ruler", "brand": "A:B %s'\"--", "attributes": {"Größe:x": "ÖL 1:2"}}
    empty_shop.offer(odd, {"product_id": "even", "title": "Ruler"})

    assert ids(api.get("/v1/search", q="ruler", filter="brand:A:B %s'\"--")) == {"odd"}
    assert ids(api.get("/v1/search", q="ruler", filter="attributes.Größe:x:öl 1:2")) == set()


def test_attribute_values_are_compared_without_case_in_every_alphabet(empty_shop: SmallShop, api: Api) -> None:
    empty_shop.offer({"product_id": "oil", "title": "Ruler", "attributes": {"stoff": "ÖL", "цвет": "Красный"}})

    assert ids(api.get("/v1/search", q="ruler", filter="attributes.stoff:Öl")) == {"oil"}
    assert ids(api.get("/v1/search", q="ruler", filter="attributes.цвет:КРАСНЫЙ")) == {"oil"}


def test_facets_count_what_the_filters_leave(shop: SmallShop, api: Api) -> None:
    facets = api.get("/v1/search", q="mug", facets="brand,category,price", filter="language:en").json()["facets"]

    brands = {each["value"]: each["count"] for each in facets["brand"]}
    categories = {each["value"]: each["count"] for each in facets["category"]}
    assert brands == {"Tonwerk": 2, "Laufgut": 2, "Trevi": 2, "Emalia": 1, "Voltana": 1, "Wetterfest": 1}
    assert categories["Kitchen"] == 3
    assert categories["Cups"] == 2
    assert sum(each["count"] for each in facets["price"]) == 10


def test_facets_come_most_frequent_first_and_do_not_depend_on_the_page(shop: SmallShop, api: Api) -> None:
    first = api.get("/v1/search", q="mug", facets="brand", k=1).json()["facets"]["brand"]
    later = api.get("/v1/search", q="mug", facets="brand", k=1, offset=5).json()["facets"]["brand"]

    assert first == later == sorted(first, key=lambda each: (-each["count"], each["value"]))


def test_a_price_band_is_a_filter_that_finds_as_many_as_it_counts(shop: SmallShop, api: Api) -> None:
    bands = api.get("/v1/search", q="mug", facets="price").json()["facets"]["price"]

    found = [api.get("/v1/search", q="mug", k=100, filter=f"price:{band['value']}").json()["total"] for band in bands]
    assert found == [band["count"] for band in bands]


@pytest.mark.parametrize("sort", ["price", "-price", "newest"])
def test_facets_count_what_total_counts_in_every_order(shop: SmallShop, api: Api, sort: str) -> None:
    answer = api.get("/v1/search", q="shoes", sort=sort, facets="category").json()

    counts = {each["value"]: each["count"] for each in answer["facets"]["category"]}
    assert max(counts.values()) <= answer["total"]
    assert counts == {
        value: sum(value in BY_ID[item["product_id"]]["category"] for item in answer["items"]) for value in counts
    }


def test_cheapest_first_lists_only_what_is_about_as_relevant_as_the_best(shop: SmallShop, api: Api) -> None:
    items = api.get("/v1/search", q="shoes", sort="price").json()["items"]
    dearest = api.get("/v1/search", q="shoes", sort="-price").json()["items"]

    assert [item["product_id"] for item in items] == ["sneakers", "trainers"]
    assert [item["product_id"] for item in dearest] == ["trainers", "sneakers"]


def test_newest_first_goes_by_the_release_and_unknown_dates_come_last(empty_shop: SmallShop, api: Api) -> None:
    released = {"old": "2019-03-01", "new": "2024-01-01T12:00:00Z", "middle": "2021-06-30", "undated": None}
    empty_shop.offer(*({"product_id": n, "title": "Radio", "released_at": at} for n, at in released.items()))

    items = api.get("/v1/search", q="radio", sort="newest").json()["items"]

    assert [item["product_id"] for item in items] == ["new", "middle", "old", "undated"]


def test_products_without_a_price_come_last_both_ways(empty_shop: SmallShop, api: Api) -> None:
    prices = {"dear": 9.0, "cheap": 1.0, "free": 0.0, "unknown": None}
    empty_shop.offer(*({"product_id": n, "title": "Radio", "price": p, "currency": "EUR"} for n, p in prices.items()))

    def order(sort: str) -> list[str]:
        return [item["product_id"] for item in api.get("/v1/search", q="radio", sort=sort).json()["items"]]

    assert order("price") == ["free", "cheap", "dear", "unknown"]
    assert order("-price") == ["dear", "cheap", "free", "unknown"]
