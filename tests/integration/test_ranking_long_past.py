"""Feedback of years ago: decayed to nothing, and no reason to fail; statistics of an empty shop neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from eventlog.database import rows, scalar
from ranking.services import lexical_statistics_publish
from tests.cast import SHOP_ID, Api, Shopper, SmallShop, drain

YEAR = timedelta(days=365)


def test_history_of_years_with_long_pauses_leaves_searches_alone(shop: SmallShop, api: Api, alice: Shopper) -> None:
    now = datetime.now(UTC)
    for years, does in ((12, "sees"), (10, "clicks"), (7, "sees"), (5, "clicks"), (3, "sees"), (0, "sees")):
        shop.clock.now = now - years * YEAR
        shop.record(alice.sees(["mug"], query="mug") if does == "sees" else alice.clicks("mug", query="mug"))

    shop.clock.now = now - 3 * YEAR
    shop.record(alice.clicks("teapot", query="tea"))
    shop.record(alice.sees(["teapot"], query="tea"))

    assert rows("SELECT consumer, error FROM eventlog_parked") == []
    for q in ("mug", "tea", "mugs"):
        answer = api.get("/v1/search", q=q, explain=1)
        assert answer.status_code == 200, answer.content
        again = api.get(f"/v1/rankings/{answer.json()['ranking']['token']}")
        assert [item["product_id"] for item in again.json()["items"]] == [
            item["product_id"] for item in answer.json()["items"]
        ]


def test_a_pair_that_was_rewarded_once_and_shown_for_years_is_never_parked(shop: SmallShop, alice: Shopper) -> None:
    start = datetime.now(UTC) - 3 * YEAR
    shop.clock.now = start
    shop.record(alice.clicks("mug", query="mug"))
    for month in range(1, 36):  # each merge decays what the one before left
        shop.clock.now = start + timedelta(days=30 * month)
        shop.record(alice.sees(["mug"], query="mug"))

    assert rows("SELECT consumer, error FROM eventlog_parked") == []
    assert scalar("SELECT count(*) FROM eventlog_failure") == 0
    assert 0 <= scalar("SELECT recent_reward FROM ranking_contextweight") < 1e-100


def test_a_shop_that_sold_out_and_began_anew_is_searched(empty_shop: SmallShop, api: Api) -> None:
    product: dict[str, Any] = {"product_id": "mug", "title": "Blue mug"}
    empty_shop.offer(product)
    empty_shop.retire("mug")
    assert lexical_statistics_publish(now=empty_shop.clock.now) == 1
    drain()
    assert scalar("SELECT mean_length FROM ranking_publication WHERE shop_id = %s", [SHOP_ID]) == 0
    empty_shop.offer(product | {"product_id": "new mug"})

    answer = api.get("/v1/search", q="mug")

    assert [item["product_id"] for item in answer.json()["items"]] == ["new mug"]
    again = api.get(f"/v1/rankings/{answer.json()['ranking']['token']}").json()
    assert abs(again["items"][0]["score"] - answer.json()["items"][0]["score"]) < 1e-6
