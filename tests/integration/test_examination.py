"""The curve of examination as a fact: estimated from what was shown, in force from its position on, in old answers too."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventlog.database import rows
from eventlog.events import NewEvent
from eventlog.services import append
from feedback.ranking_token import RankingToken, token_sign
from feedback.services import clock_tick
from ranking.curves import curve_at, curves_in_force
from ranking.events import ExaminationEstimated
from ranking.examination import examination_estimate
from ranking.learning.position_bias import BiasOptions
from ranking.serving import SearchRequest, search
from ranking.versions import ranking_again
from tests.cast import PRODUCTS, SHOP_ID, Shopper, SmallShop, drain

SOON = BiasOptions(least_clicks=100, least_of_rank=10, least_ranks=3, ranks=4)
CURVE = [1.0, 0.35, 0.3, 0.25]
PAGE = [str(product["product_id"]) for product in PRODUCTS[:4]]


def visits(shop: SmallShop, count: int, *, seed: int) -> None:
    """Let shoppers see four products in random order and click by CURVE; then half an hour passes."""
    rng, events = random.Random(seed), list[dict[str, Any]]()
    for n in range(count):
        shopper, page = Shopper(f"visitor-{seed}-{n}", shop.clock), rng.sample(PAGE, 4)
        token = RankingToken(
            shop_id=SHOP_ID, context_kind="query", context_key="tea", query="tea", now=shop.clock.now.timestamp() + n,
            model="1.0", positions={}, k=4,
        )  # fmt: skip
        more = {"ranking_token": token_sign(token), "query": "tea"}
        events.append(shopper.sees(page, **more))
        for rank, product in enumerate(page, start=1):
            if rng.random() < CURVE[rank - 1] * (0.8 if product == "mug" else 0.6):
                events.append(shopper.clicks(product, rank=rank, **more))
    for start in range(0, len(events), 500):
        assert not shop.record(*events[start : start + 500]).rejected
    clock_tick(now=shop.clock.tick(seconds=7200))
    drain()


def record(shop: SmallShop, curve: list[float]) -> None:
    event = ExaminationEstimated(curve=curve, method="em", clicks=1000, to_position=1)
    append(shop_id=SHOP_ID, events=[NewEvent(event=event, occurred_at=shop.clock.now)])
    drain()


def exposure() -> float:
    return float(rows("SELECT exposure FROM ranking_productweight WHERE product_id = 'mug'")[0][0])


def test_what_shoppers_did_becomes_the_curve_and_is_recorded_once(shop: SmallShop) -> None:
    visits(shop, 250, seed=1)

    assert examination_estimate(shop_id=SHOP_ID, now=shop.clock.now, options=SOON)
    drain()

    assert curves_in_force([SHOP_ID])[SHOP_ID] == pytest.approx(CURVE, abs=0.1)
    assert not examination_estimate(shop_id=SHOP_ID, now=shop.clock.now, options=SOON)  # nothing moved since


def test_little_feedback_records_nothing(shop: SmallShop) -> None:
    visits(shop, 40, seed=2)

    assert not examination_estimate(shop_id=SHOP_ID, now=shop.clock.now)
    drain()

    assert curves_in_force([SHOP_ID]) == {}


def test_what_is_shown_counts_by_the_curve_in_force(shop: SmallShop, alice: Shopper) -> None:
    shop.record(alice.sees(["beaker", "mug"], query="mug"))
    by_default = exposure()
    record(shop, [1.0, 0.25])

    shop.record(alice.sees(["beaker", "mug"], query="mug"), alice.sees(["mug"], query="mug", rank=8))

    assert by_default == pytest.approx(0.631, abs=1e-3)
    assert exposure() - by_default == pytest.approx(0.25 + 0.25 * 1.585 / 3.17, abs=1e-3)


def test_answers_from_before_and_after_an_estimate_are_made_again(shop: SmallShop, alice: Shopper) -> None:
    shop.clock.now = datetime.now(UTC) - timedelta(hours=1)
    request = SearchRequest(shop_id=SHOP_ID, q="tea", now=shop.clock.now.timestamp() + 60)

    def happen() -> dict[str, Any]:
        shop.record(*(alice.sees(["teapot", "mug", "beaker"], query="tea", rank=3) for _ in range(30)))
        shop.record(*(alice.clicks("mug", query="tea") for _ in range(20)))
        return search(request)

    answers = [happen()]
    record(shop, [1.0, 0.9, 0.2, 0.05])
    answers.append(happen())
    record(shop, [1.0, 0.4])
    answers.append(happen())

    for answer in answers:
        again = ranking_again(shop_id=SHOP_ID, token=answer["ranking"]["token"])
        scores = {item["product_id"]: item["score"] for item in answer["items"]}
        assert {item["product_id"]: item["score"] for item in again["items"]} == pytest.approx(scores, abs=1e-6)


def test_the_curve_of_a_position_is_the_one_in_force_there(shop: SmallShop) -> None:
    record(shop, [1.0, 0.5])
    first = int(rows("SELECT max(position) FROM ranking_examination")[0][0])
    record(shop, [1.0, 0.4])

    assert curve_at(shop_id=SHOP_ID, position=first - 1) == []
    assert curve_at(shop_id=SHOP_ID, position=first) == [1.0, 0.5]
    assert curve_at(shop_id=SHOP_ID, position=first + 100) == [1.0, 0.4]
