"""GET /v1/freshness: time to visible, lag, fresh share and current vectors; and the age of an answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from catalog.services import products_upsert
from feedback.services import events_record
from ranking.policies import shop_embed
from ranking.services import lexical_statistics_publish
from tests.cast import PRODUCTS, SHOP_ID, Api, Shopper, SmallShop, drain


def freshness(api: Api) -> dict[str, Any]:
    answer = api.get("/v1/freshness")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def test_a_shop_without_events_has_nothing_to_measure(empty_shop: SmallShop, api: Api) -> None:
    answer = freshness(api)

    assert (answer["position"], answer["pending"], answer["time_to_visible"]) == (0, 0, {})
    assert (answer["fresh_share"], answer["vectors_current"]) == (None, None)


def test_every_kind_of_change_is_measured_from_its_acceptance(shop: SmallShop, api: Api, alice: Shopper) -> None:
    shop.clock.now = datetime.now(UTC)
    shop_embed(shop_id=shop.shop_id, now=shop.clock.now)
    shop.record(alice.clicks("mug", query="cup"), alice.sees(["mug"], query="cup"))
    api.put("/v1/weights", {"weights": [{"product_id": "mug", "weight": 2}]})
    api.put("/v1/rules", {"rules": [{"id": "x", "kind": "hide", "product_id": "mug"}]})
    drain()

    measured = freshness(api)["time_to_visible"]

    counts = {kind: each["count"] for kind, each in measured.items()}
    assert counts == {"offer": 12, "description": 12, "vector": 12, "weight": 3, "rule": 1, "model": 1}
    assert all(0 <= each["p50"] <= each["p95"] <= each["p99"] < 60 for each in measured.values())


def test_lag_counts_what_a_consumer_has_not_applied(shop: SmallShop, api: Api) -> None:
    assert {lag["events"] for lag in freshness(api)["lag"].values()} == {0}

    products_upsert(shop_id=SHOP_ID, items=[PRODUCTS[0] | {"price": 1.0}], origin="api", now=shop.clock.now)
    waiting = freshness(api)
    drain()

    assert waiting["pending"] == 1
    assert freshness(api)["pending"] == 0
    assert freshness(api)["position"] == waiting["position"] + 1


def test_vectors_are_current_when_every_product_has_one_of_its_description(shop: SmallShop, api: Api) -> None:
    before = freshness(api)["vectors_current"]
    shop_embed(shop_id=shop.shop_id, now=shop.clock.now)
    embedded = freshness(api)["vectors_current"]
    shop.revise_description("mug", "Another one.")

    assert (before, embedded) == (0.0, 1.0)
    assert freshness(api)["vectors_current"] == pytest.approx(11 / 12)


def test_impressions_of_current_answers_are_fresh(shop: SmallShop, api: Api, alice: Shopper) -> None:
    shop.clock.now = datetime.now(UTC)
    token = api.get("/v1/search", q="cup").json()["ranking"]["token"]

    shop.record(alice.sees(["mug"], ranking_token=token))

    assert freshness(api)["fresh_share"] == 1.0


def test_an_impression_of_an_answer_that_lacked_old_events_is_not_fresh(
    shop: SmallShop, api: Api, alice: Shopper, settings: Any
) -> None:
    settings.FRESH_TARGET_SECONDS = 0.05
    shop.clock.now = datetime.now(UTC)
    products_upsert(shop_id=SHOP_ID, items=[PRODUCTS[0] | {"price": 1.0}], origin="api", now=shop.clock.now)
    time.sleep(0.1)
    token = api.get("/v1/search", q="cup").json()["ranking"]["token"]
    drain()

    shop.record(alice.sees(["mug"], ranking_token=token))

    assert freshness(api)["fresh_share"] == 0.0


def test_an_answer_is_as_old_as_the_oldest_accepted_event_that_it_lacks(
    shop: SmallShop, api: Api, alice: Shopper
) -> None:
    before = api.get("/v1/search", q="cup").json()["ranking"]
    events_record(shop_id=SHOP_ID, items=[alice.clicks("mug", query="cup")], now=datetime.now(UTC))
    time.sleep(0.05)

    behind = api.get("/v1/search", q="cup").json()["ranking"]
    drain()
    after = api.get("/v1/search", q="cup").json()["ranking"]

    assert before["age_seconds"] == after["age_seconds"] == 0.0
    assert 0.05 <= behind["age_seconds"] < 30
    assert before["as_of_position"] == behind["as_of_position"] < after["as_of_position"]


def test_an_event_that_is_sequenced_and_not_applied_ages_an_answer_too(shop: SmallShop, api: Api) -> None:
    from eventlog.services import sequence

    lexical_statistics_publish(now=datetime.now(UTC))
    sequence()
    time.sleep(0.02)

    assert api.get("/v1/search", q="cup").json()["ranking"]["age_seconds"] >= 0.02


@pytest.mark.parametrize("params", ["", "?unknown=1", "?%00=1"])
def test_freshness_takes_no_parameters_that_could_break_it(shop: SmallShop, api: Api, params: str) -> None:
    assert api.get(f"/v1/freshness{params}").status_code in (200, 400)
