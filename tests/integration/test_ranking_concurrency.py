"""Searches while the log moves: each answer is of one moment, and its token makes the same answer again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from catalog.services import description_revise, products_upsert
from eventlog.consume import drain as drain_projection
from eventlog.projection import projections
from eventlog.rebuild import rebuild
from eventlog.services import sequence
from feedback.services import events_record
from ranking.policies import shop_embed
from ranking.services import lexical_statistics_publish, weights_put
from ranking.serving import SearchRequest, search
from ranking.signal_setting import signals_set
from ranking.versions import ranking_again
from tests.cast import PRODUCTS, SHOP_ID, Clock, Shopper, SmallShop, drain

QUERIES = ("tea cup", "shoes", "bluetooth music", "stoneware mug", "蓝牙耳机")
Answer = dict[str, Any]


@pytest.fixture
def real_shop(real_db: None) -> SmallShop:
    """The small shop with vectors, whose changes are really committed."""
    shop = SmallShop(clock=Clock(datetime.now(UTC)))
    shop.offer(*PRODUCTS)
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    lexical_statistics_publish(now=shop.clock.now)
    drain()
    for query in QUERIES:  # so that each is encoded before the threads start
        ask(query)
    return shop


def ask(query: str) -> Answer:
    return search(SearchRequest(shop_id=SHOP_ID, q=query, k=20, now=datetime.now(UTC).timestamp()))


@contextmanager
def searchers(count: int) -> Iterator[tuple[list[Answer], list[Exception]]]:
    """Shoppers who search without a pause until the block ends."""
    answers: list[Answer] = []
    failures: list[Exception] = []
    over = threading.Event()

    def shop_around(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not over.is_set():
                answers.append(ask(chance.choice(QUERIES)))
                time.sleep(0.002)
        except Exception as error:  # noqa: BLE001  (a thread's own; asserted by the test)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=shop_around, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield answers, failures
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=60)


def live(shop: SmallShop, chance: random.Random, versions: dict[str, int], shopper: Shopper) -> None:
    """Let one thing happen, not drained."""
    product = chance.choice(PRODUCTS)
    product_id = product["product_id"]
    kind = chance.choice(("click", "click", "see", "price", "weight", "revise", "signal"))
    if kind == "click":
        events_record(
            shop_id=SHOP_ID, items=[shopper.clicks(product_id, query=chance.choice(QUERIES))], now=shop.clock.now
        )
    elif kind == "see":
        shown = [each["product_id"] for each in chance.sample(PRODUCTS, 5)]
        events_record(shop_id=SHOP_ID, items=[shopper.sees(shown, query=chance.choice(QUERIES))], now=shop.clock.now)
    elif kind == "price":
        offer = product | {"price": round(chance.uniform(1, 100), 2), "description": None}
        products_upsert(shop_id=SHOP_ID, items=[{k: v for k, v in offer.items() if v is not None}], origin="api",
                        now=shop.clock.now)  # fmt: skip
        versions[product_id] = 0
    elif kind == "weight":
        weight = {"product_id": product_id, "weight": chance.uniform(0.1, 2)}
        weights_put(shop_id=SHOP_ID, body={"weights": [weight]}, now=shop.clock.now)
    elif kind == "signal":
        signals = {"click": chance.uniform(0.1, 5), "recent_half_life_seconds": chance.choice([60.0, 86_400.0])}
        signals_set(shop_id=SHOP_ID, signals=signals, forced_because="a test", now=shop.clock.now)
    elif versions.get(product_id, 1):
        text = " ".join(chance.choices(["tea", "cup", "shoes", "music", "stoneware", "耳机"], k=5))
        versions[product_id] = description_revise(
            shop_id=SHOP_ID, product_id=product_id, fields={"description": text},
            expected_version=versions.get(product_id, 1), now=shop.clock.now,
        ).version  # fmt: skip


def drain_in_pieces(chance: random.Random) -> None:
    """Let each projection go a little way, in any order, so that they stand at different positions."""
    sequence()
    every = list(projections().values())
    chance.shuffle(every)
    for projection in every:
        drain_projection(projection, batch=chance.choice((1, 2, 5)))


def in_one_line(answer: Answer) -> list[tuple[str, int, float, float]]:
    return [
        (item["product_id"], item["description_version"], item["relevance"], item["weight"]) for item in answer["items"]
    ]


def test_answers_given_while_events_drain_are_made_again(real_shop: SmallShop) -> None:
    chance, versions, shopper = random.Random(3), dict[str, int](), Shopper("alice", real_shop.clock)
    with searchers(3) as (answers, failures):
        for _ in range(60):
            real_shop.clock.now = datetime.now(UTC)
            live(real_shop, chance, versions, shopper)
            drain_in_pieces(chance)
        drain()

    assert failures == []
    positions = {answer["ranking"]["as_of_position"] for answer in answers}
    assert len(positions) > 10
    for answer in chance.sample(answers, min(len(answers), 120)):
        again = ranking_again(shop_id=SHOP_ID, token=answer["ranking"]["token"])
        assert [row[:2] for row in in_one_line(again)] == [row[:2] for row in in_one_line(answer)]
        for new, old in zip(in_one_line(again), in_one_line(answer), strict=True):
            assert new[2:] == pytest.approx(old[2:], rel=1e-6, abs=1e-9), (new, old)
        assert [i["price"] for i in again["items"]] == [i["price"] for i in answer["items"]]


def test_positions_of_answers_never_go_back(real_shop: SmallShop) -> None:
    seen: list[int] = []
    shopper = Shopper("alice", real_shop.clock)
    with searchers(1) as (answers, failures):
        for _ in range(20):
            events_record(shop_id=SHOP_ID, items=[shopper.clicks("mug", query="tea cup")], now=datetime.now(UTC))
            drain()
    seen = [answer["ranking"]["as_of_position"] for answer in answers]

    assert failures == []
    assert seen == sorted(seen)
    assert all(answer["ranking"]["age_seconds"] >= 0 for answer in answers)


@pytest.mark.parametrize("name", ["products", "postings", "weights", "vectors", "contexts", "models", "rules"])
def test_searches_go_on_unchanged_while_a_projection_is_rebuilt(real_shop: SmallShop, name: str) -> None:
    real_shop.clock.now = datetime.now(UTC) - timedelta(seconds=1)
    alice = Shopper("alice", real_shop.clock)
    real_shop.record(*(alice.clicks("mug", query=query) for query in QUERIES), alice.sees(["mug"], query="shoes"))
    shop_embed(shop_id=SHOP_ID, now=real_shop.clock.now)
    drain()
    before = {query: ask(query) for query in QUERIES}

    with searchers(2) as (answers, failures):
        for _ in range(3):
            rebuild(name)
        time.sleep(0.05)

    assert failures == []
    assert len(answers) > 3
    expected = sorted(in_order(answer) for answer in before.values())
    assert all(in_order(answer) in expected for answer in answers)


def in_order(answer: Answer) -> list[str]:
    return [item["product_id"] for item in answer["items"]]
