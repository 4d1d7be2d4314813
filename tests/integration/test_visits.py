"""Visits: what goes together, what is popular, what a shopper had, moved by each event and the same however they come."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from eventlog.database import query, rows, scalar
from eventlog.rebuild import rebuild
from ranking.signal_setting import signals_set
from ranking.signals import signals_of
from ranking.visits.companions import scale
from ranking.visits.popularity import popularity_order
from ranking.visits.reading import items_by_number
from ranking.visits.steps import steps_unpack
from ranking.weights.options import DEFAULTS
from tests.cast import SHOP_ID, Clock, Shopper, SmallShop
from tests.erasure_cast import LONG_AGO, erase


@pytest.fixture
def clock() -> Clock:
    return Clock(LONG_AGO)  # so that the events' own times count, not that of the test


def together(newest: float | None = None) -> dict[tuple[str, str], float]:
    """Sums of each pair, as they stand at the newest visit or another time."""
    names: dict[int, str] = dict(rows("SELECT id, product_id FROM ranking_visited"))
    newest = newest or float(scalar("SELECT max(at) FROM ranking_visited"))
    items = items_by_number(list(names))
    found: dict[tuple[str, str], float] = defaultdict(float)  # a product is there once in the list, and where it waits
    for id_, companions in zip(items.ids.tolist(), items.companions, strict=True):
        for each in companions:
            found[names[id_], names[each["id"]]] += float(each["sum"]) / float(scale(newest))
    return dict(found)


def test_what_one_shopper_touches_goes_together_both_ways(shop: SmallShop, alice: Shopper, bob: Shopper) -> None:
    shop.record(alice.clicks("mug"), alice.clicks("teapot"), bob.clicks("sneakers"))

    assert together() == {("mug", "teapot"): pytest.approx(1.0), ("teapot", "mug"): pytest.approx(1.0)}


def test_a_pair_is_worth_less_the_longer_the_shopper_waited(shop: SmallShop, alice: Shopper) -> None:
    shop.record(alice.clicks("mug"))
    shop.clock.tick(seconds=180 * 86_400)
    shop.record(alice.clicks("teapot"))

    assert together()["mug", "teapot"] == pytest.approx(0.5)


def test_a_purchase_counts_for_more_than_a_click_and_a_dismissal_for_nothing(shop: SmallShop, alice: Shopper) -> None:
    shop.record(alice.buys("mug"), alice.clicks("teapot"), alice._event("dismiss", product_id="novel"))

    assert together()["mug", "teapot"] > 1.5
    assert {product for pair in together() for product in pair} == {"mug", "teapot"}
    assert scalar("SELECT dismissed_at IS NOT NULL FROM ranking_owned o JOIN ranking_visited v ON v.id = o.visited_id"
                  " WHERE product_id = 'novel'")  # fmt: skip


def test_popularity_fades_by_four_half_lives(shop: SmallShop, alice: Shopper) -> None:
    shop.record(alice.clicks("mug"))
    shop.clock.tick(seconds=7 * 86_400)
    shop.record(alice.clicks("mug"))

    day, week, month, year = rows("SELECT day, week, month, year FROM ranking_visited")[0]
    assert (day, week) == (pytest.approx(1 + 2**-7), pytest.approx(1.5))
    assert month == pytest.approx(1 + 2 ** (-7 / 30))
    assert year == pytest.approx(1 + 2 ** (-7 / 365))


def test_who_sent_no_id_makes_products_popular_and_pairs_nothing(shop: SmallShop, alice: Shopper) -> None:
    nameless = [{name: each[name] for name in each if name != "shopper_id"}
                for each in (alice.clicks("mug"), alice.clicks("teapot"))]  # fmt: skip
    shop.record(*nameless)

    assert scalar("SELECT count(*) FROM ranking_visited") == 2
    assert together() == {}


def happenings(shop: SmallShop, *shoppers: Shopper, count: int = 60) -> list[dict[str, Any]]:
    chance = np.random.default_rng(5)
    events = []
    for _ in range(count):
        shop.clock.tick(seconds=float(chance.integers(1, 50_000)))
        product = chance.choice(["mug", "beaker", "teapot", "kettle", "speaker", "sneakers", "not yet there"])
        who = shoppers[int(chance.integers(len(shoppers)))]
        events.append(who.buys(str(product)) if chance.random() < 0.3 else who.clicks(str(product)))
    return events


def state() -> list[Any]:
    return [
        rows("SELECT product_id, id, first_at, at, day, week, month, year FROM ranking_visited ORDER BY id"),
        rows("SELECT subject_id, visited_id, purchases, reward, first_at, at FROM ranking_owned ORDER BY 1, 2"),
        rows("SELECT subject_id, encode(steps, 'hex') FROM ranking_visitor ORDER BY 1"),
        sorted(together().items()),
    ]


def alike(before: list[Any], after: list[Any]) -> bool:
    numbers = (float, int)
    return all(
        len(old) == len(new)
        and all(
            a == pytest.approx(b, rel=1e-6) if isinstance(a, numbers) else a == b
            for x, y in zip(old, new, strict=True)
            for a, b in zip(x, y, strict=True)
        )
        for old, new in zip(before, after, strict=True)
    )


def test_a_rebuild_in_one_piece_gives_what_came_piece_by_piece(shop: SmallShop, alice: Shopper, bob: Shopper) -> None:
    for event in happenings(shop, alice, bob):
        shop.record(event)
    before = state()

    rebuild("visits")

    assert alike(before, state())


def test_what_waits_beside_the_lists_is_taken_in_and_changes_no_sum(
    shop: SmallShop, alice: Shopper, bob: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = happenings(shop, alice, bob)
    monkeypatch.setattr("ranking.visits.pending.LEAST_SWEPT", 1)
    for event in events[:40]:
        shop.record(event)
    assert scalar("SELECT count(*) FROM ranking_copending") > 0
    before = together(LONG_AGO.timestamp())

    monkeypatch.setattr("ranking.visits.pending.LEAST_SWEPT", 100)
    shop.record(charlie_at(shop, "novel"), charlie_at(shop, "raincoat"))

    assert scalar("SELECT count(*) FROM ranking_copending") == 0
    assert {pair: together(LONG_AGO.timestamp())[pair] for pair in before} == pytest.approx(before)


def charlie_at(shop: SmallShop, product_id: str) -> dict[str, Any]:
    return Shopper(f"charlie-{product_id}", shop.clock).clicks(product_id) | {"shopper_id": "charlie"}


def test_an_erased_shopper_leaves_no_steps_and_what_comes_later_is_nobodys(
    shop: SmallShop, alice: Shopper, bob: Shopper
) -> None:
    shop.record(alice.clicks("mug"), alice.buys("teapot"), bob.clicks("mug"))
    erase("alice")
    shop.record()

    ((packed,),) = rows("SELECT steps FROM ranking_visitor", binary=True)
    assert len(steps_unpack(packed)) == 1
    assert scalar("SELECT count(*) FROM ranking_owned") == 1
    assert scalar("SELECT count(*) FROM ranking_visited") == 2


@pytest.mark.parametrize("name", ["day", "week"])
def test_the_most_visited_are_found_by_an_index(shop: SmallShop, name: str) -> None:
    query("SET LOCAL enable_seqscan = off")

    plan = rows(
        f"""EXPLAIN SELECT id FROM ranking_visited WHERE shop_id = 1 AND {name} > 0
             ORDER BY {popularity_order(name)} DESC LIMIT 10"""
    )

    assert f"Index Scan Backward using ranking_visited_{name}" in plan[1][0]


def test_a_visit_counts_by_the_table_of_signals_of_its_time(shop: SmallShop, alice: Shopper, bob: Shopper) -> None:
    shop.record(alice.clicks("mug"))
    table = signals_of(DEFAULTS) | {"click": 3.0}
    signals_set(shop_id=SHOP_ID, signals=table, forced_because="a test", now=shop.clock.now)
    shop.record(bob.clicks("teapot"))

    sums: dict[str, float] = dict(rows("SELECT product_id, day FROM ranking_visited"))
    rebuild("visits")

    assert sums == {"mug": pytest.approx(1.0), "teapot": pytest.approx(2.0)}  # log2(1 + value)
    assert dict(rows("SELECT product_id, day FROM ranking_visited")) == pytest.approx(sums)
