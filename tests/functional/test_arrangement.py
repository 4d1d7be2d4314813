"""Stock, variants and replaced products in searches, as the shop asks for it; without asking, nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog.database import scalar
from tests.cast import Api, SmallShop, drain


def plate(product_id: str, title: str = "Dinner plate", **more: Any) -> dict[str, Any]:
    return {"product_id": product_id, "title": title, **more}


def related(kind: str, product_id: str) -> dict[str, Any]:
    return {"relations": [{"kind": kind, "product_id": product_id}]}


@pytest.fixture
def plates(empty_shop: SmallShop) -> SmallShop:
    """Plates that are variants, that replace each other, that are sold out."""
    empty_shop.offer(
        plate("red", "Dinner plate red"),
        plate("blue", "Dinner plate blue", **related("variant_of", "red")),
        plate("green", "Dinner plate green", **related("variant_of", "blue")),
        plate("old", "Dessert plate"),
        plate("new", "Dessert plate, new shape", **related("replaces", "old")),
        plate("gone", "Soup plate", in_stock=False),
        plate("bowl", "Bowl"),
    )
    return empty_shop


def arrange(api: Api, **search: str) -> Any:
    answer = api.put("/v1/arrangement", {"search": search})
    drain()
    return answer


def ids(api: Api, q: str, **more: Any) -> list[str]:
    return [item["product_id"] for item in api.get("/v1/search", q=q, k=100, **more).json()["items"]]


def test_a_search_lists_everything_until_the_shop_asks_for_less(plates: SmallShop, api: Api) -> None:
    assert set(ids(api, "plate")) == {"red", "blue", "green", "old", "new", "gone", "bowl"}
    assert ids(api, "soup plate")[0] == "gone"


def test_of_variants_the_one_that_the_query_is_about_is_listed(plates: SmallShop, api: Api) -> None:
    arrange(api, variants="one")

    answer = api.get("/v1/search", q="dinner plate blue", explain=1, k=100).json()

    assert answer["items"][0]["product_id"] == "blue"
    assert answer["items"][0]["explanation"]["rules"] == [{"kind": "variants", "product_ids": ["green", "red"]}]
    assert (answer["total"], {"red", "green"} & {item["product_id"] for item in answer["items"]}) == (5, set())


def test_a_replaced_product_gives_way_in_searches_too(plates: SmallShop, api: Api) -> None:
    arrange(api, replaced="successor")

    found = ids(api, "dessert plate")

    assert found[0] == "new"
    assert "old" not in found


def test_a_replaced_product_is_back_when_its_successor_is_retired(plates: SmallShop, api: Api) -> None:
    arrange(api, replaced="successor")

    plates.retire("new")

    assert ids(api, "dessert plate")[0] == "old"


def test_what_is_out_of_stock_goes_behind_what_is_as_relevant(plates: SmallShop, api: Api) -> None:
    before = ids(api, "plate")
    arrange(api, out_of_stock="demote")

    assert before[0] == "gone"
    assert ids(api, "plate") == [*(each for each in before if each not in ("gone", "bowl")), "gone", "bowl"]
    assert ids(api, "soup plate")[0] == "gone"  # nothing else answers that


def test_what_is_out_of_stock_can_be_hidden_and_is_back_when_it_is_back(plates: SmallShop, api: Api) -> None:
    arrange(api, out_of_stock="hide")
    hidden = ids(api, "soup plate")

    plates.offer(plate("gone", "Soup plate", in_stock=True))

    assert "gone" not in hidden
    assert ids(api, "soup plate")[0] == "gone"


def test_a_price_list_with_one_of_each_family_shows_the_cheapest(plates: SmallShop, api: Api) -> None:
    plates.offer(plate("red", "Dinner plate red", price=9.0),
                 plate("blue", "Dinner plate blue", price=7.0, **related("variant_of", "red")))  # fmt: skip
    arrange(api, variants="one")

    assert [each for each in ids(api, "dinner plate", sort="price") if each in ("red", "blue")] == ["blue"]


def test_the_settings_are_told_and_setting_them_again_appends_nothing(plates: SmallShop, api: Api) -> None:
    before = api.get("/v1/arrangement").json()
    arrange(api, variants="one")
    events = scalar("SELECT count(*) FROM eventlog_event")

    again = arrange(api, variants="one")

    assert before["search"] == {"out_of_stock": "keep", "variants": "all", "replaced": "keep"}
    assert before["recommendations"] == {"out_of_stock": "demote", "variants": "one", "replaced": "successor"}
    assert api.get("/v1/arrangement").json()["search"]["variants"] == "one"
    assert again.json()["search"] == {"out_of_stock": "keep", "variants": "one", "replaced": "keep"}
    assert scalar("SELECT count(*) FROM eventlog_event") == events


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"search": {"variants": "some"}}, "search.variants"),
        ({"search": {"variant": "one"}}, "search.variant"),
        ({"home": {}}, "home"),
        ({"search": "one"}, "search"),
    ],
)
def test_bad_settings_are_refused_by_their_field(plates: SmallShop, api: Api, body: Any, field: str) -> None:
    before = scalar("SELECT count(*) FROM eventlog_event")

    refused = api.put("/v1/arrangement", body)

    assert (refused.status_code, refused.json()["code"], refused.json().get("field")) == (400, "bad_arrangement", field)
    assert scalar("SELECT count(*) FROM eventlog_event") == before
