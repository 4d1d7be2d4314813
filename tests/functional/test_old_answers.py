"""A token from an hour and a thousand events ago gives the same answer again; a forged one is refused."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.projections import products
from catalog.services import products_upsert
from eventlog.consume import drain as drain_projection
from eventlog.services import sequence
from ranking.policies import shop_embed
from tests.cast import PRODUCTS, Api, Shopper, SmallShop, drain

QUERIES = ("mug", "tea", "shoes", "bluetooth speaker", "蓝牙耳机", "waterproof coat")


@pytest.fixture
def busy_shop(shop: SmallShop) -> SmallShop:
    """The small shop with vectors and a past of clicks."""
    shop.clock.now = datetime.now(UTC)  # searches ask the real clock
    shop_embed(shop_id=shop.shop_id, now=shop.clock.now)
    feedback(shop, seed=1, count=120)
    shop_embed(shop_id=shop.shop_id, now=shop.clock.now)
    drain()
    return shop


def feedback(shop: SmallShop, *, seed: int, count: int) -> None:
    """Let shoppers see, click and buy something, `count` events, a second apart."""
    chance = random.Random(seed)
    alice = Shopper(f"alice-{seed}", shop.clock)
    events = []
    for _ in range(count):
        query = chance.choice(QUERIES)
        products = chance.sample(["mug", "beaker", "teapot", "speaker", "耳机", "trainers", "raincoat"], 5)
        kind = chance.choice(["sees", "clicks", "clicks", "buys"])
        events.append(
            alice.sees(products, query=query)
            if kind == "sees"
            else getattr(alice, kind)(products[0], query=query, rank=1)
        )
    for start in range(0, count, 500):
        assert not shop.record(*events[start : start + 500]).rejected


def same(again: dict[str, Any], answer: dict[str, Any]) -> bool:
    if len(again["items"]) != len(answer["items"]):
        return False
    items = zip(again["items"], answer["items"], strict=True)
    return all(
        new["product_id"] == old["product_id"]
        and new["rank"] == old["rank"]
        and new["score"] == pytest.approx(old["score"], abs=1e-4, rel=1e-6)
        and (new["price"], new["in_stock"]) == (old["price"], old["in_stock"])
        and new["relevance"] == pytest.approx(old["relevance"], abs=1e-6)
        for new, old in items
    )


@pytest.mark.parametrize("query", QUERIES)
def test_the_answer_of_an_hour_and_a_thousand_events_ago_is_made_again(
    busy_shop: SmallShop, api: Api, query: str
) -> None:
    api.put("/v1/weights", {"weights": [{"product_id": "mug", "weight": 1.5, "query": "mug"}]})
    drain()
    answer = api.get("/v1/search", q=query, k=10).json()

    busy_shop.clock.tick(seconds=3600)
    feedback(busy_shop, seed=2, count=1000)
    busy_shop.revise_description("mug", "Nothing is as it was.")
    busy_shop.offer(
        next(each for each in PRODUCTS if each["product_id"] == "speaker") | {"price": 1.0, "in_stock": False}
    )
    busy_shop.retire("beaker")
    busy_shop.offer({"product_id": "new", "title": "New mug for tea", "description": "Fresh from the kiln."})
    api.put("/v1/weights", {"weights": [{"product_id": "mug", "weight": 0.2}]})
    drain()
    shop_embed(shop_id=busy_shop.shop_id, now=busy_shop.clock.now)

    again = api.get(f"/v1/rankings/{answer['ranking']['token']}").json()
    assert same(again, answer), (again["items"], answer["items"])
    assert again["total"] == answer["total"]
    assert again["ranking"]["version"] == answer["ranking"]["version"]
    assert not same(api.get("/v1/search", q=query, k=10).json(), answer) or query not in ("mug", "tea")


def test_a_page_further_down_is_made_again_with_its_ranks(busy_shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/search", q="tea", k=3, offset=4).json()

    feedback(busy_shop, seed=3, count=200)

    again = api.post("/v1/rankings", {"token": answer["ranking"]["token"]}).json()
    assert [item["rank"] for item in again["items"]] == [5, 6, 7]
    assert same(again, answer)


def test_what_a_pasted_page_found_is_found_by_its_words_and_made_again(busy_shop: SmallShop, api: Api) -> None:
    page = " ".join([*(f"xqz{n}" for n in range(100)), "stoneware mug"])
    answer = api.get("/v1/search", q=page, k=10, explain=1).json()

    feedback(busy_shop, seed=4, count=200)

    assert any(item["explanation"]["lexical"] > 0 for item in answer["items"])
    assert same(api.post("/v1/rankings", {"token": answer["ranking"]["token"]}).json(), answer)


@pytest.mark.parametrize("change", ["cut", "flip", "foreign", "empty"])
def test_a_forged_token_is_refused(busy_shop: SmallShop, api: Api, change: str) -> None:
    token = api.get("/v1/search", q="mug").json()["ranking"]["token"]
    middle = len(token) // 2
    forged = {
        "cut": token[:-3],
        "flip": token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :],
        "foreign": "eyJhIjoxfQ:1abc:xyz",
        "empty": "x",
    }[change]

    refused = api.get(f"/v1/rankings/{forged}")

    assert refused.status_code == 400
    assert refused.json()["code"] == "bad_token"


def test_an_answer_is_made_again_with_the_rules_of_then(busy_shop: SmallShop, api: Api) -> None:
    rules = [
        {"id": "top", "kind": "pin", "rank": 1, "product_id": "raincoat"},
        {"id": "potter", "kind": "boost", "factor": 3, "brand": "Tonwerk", "ends_at": later(busy_shop, hours=1)},
        {"id": "cups", "kind": "boost", "factor": 0.5, "category": ["Kitchen", "Cups"], "query": "tea"},
        {"id": "soon", "kind": "hide", "brand": "Tonwerk", "starts_at": later(busy_shop, hours=1)},
        {"id": "gone", "kind": "hide", "product_id": "beaker"},
    ]
    assert not api.put("/v1/rules", {"rules": rules}).json()["rejected"]
    drain()
    answer = api.get("/v1/search", q="tea", k=10, explain=1).json()
    assert answer["items"][0]["product_id"] == "raincoat"

    busy_shop.clock.tick(seconds=7200)
    api.put("/v1/rules", {"rules": [{"id": "top", "kind": "pin", "rank": 1, "product_id": "novel"}]})
    for rule_id in ("potter", "cups", "gone"):
        api.delete(f"/v1/rules/{rule_id}")
    busy_shop.offer(next(each for each in PRODUCTS if each["product_id"] == "teapot") | {"brand": "Nobody"})
    drain()

    again = api.get(f"/v1/rankings/{answer['ranking']['token']}").json()
    assert same(again, answer), (again["items"], answer["items"])
    assert again["total"] == answer["total"]
    assert [each["explanation"]["rules"] for each in again["items"]] == [
        each["explanation"]["rules"] for each in answer["items"]
    ]
    operator = {each["product_id"]: each["explanation"]["weight"]["operator"] for each in again["items"]}
    assert (operator["teapot"], operator["mug"], operator["raincoat"]) == (3.0, 1.5, 1.0)


def later(shop: SmallShop, *, hours: float) -> str:
    return (shop.clock.now + timedelta(hours=hours)).isoformat()


def test_an_answer_from_between_two_drains_is_made_again(busy_shop: SmallShop, api: Api) -> None:
    """Rules saw the new brand, and the words that were scored were the old ones."""
    api.put("/v1/rules", {"rules": [{"id": "new", "kind": "boost", "factor": 3, "brand": "Renamed"}]})
    drain()
    mug = next(each for each in PRODUCTS if each["product_id"] == "mug") | {"brand": "Renamed"}
    products_upsert(shop_id=busy_shop.shop_id, items=[mug], origin="api", now=busy_shop.clock.now)
    sequence()
    drain_projection(products)
    answer = api.get("/v1/search", q="mug", k=10, explain=1).json()
    drain()

    again = api.get(f"/v1/rankings/{answer['ranking']['token']}").json()

    assert answer["items"][0]["explanation"]["weight"]["operator"] == 3.0
    assert answer["items"][0]["description_version"] == 1
    assert same(again, answer), (again["items"], answer["items"])
