"""Feedback as read models: the same rows live, rebuilt, and however the log is cut into batches."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventlog.consume import drain as drain_projection
from eventlog.database import query, rows, scalar
from eventlog.projection import Projection
from eventlog.rebuild import rebuild
from eventlog.selectors import last_position, parked
from eventlog.services import sequence
from feedback.projections import click_throughs, facts
from feedback.ranking_token import RankingToken, token_sign
from feedback.selectors import closed_click_throughs, fresh_share
from feedback.services import clock_tick, events_record
from tests.cast import SHOP_ID, Clock, Shopper, SmallShop, drain

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)  # so that the events' own times count, not that of the test


@pytest.fixture
def clock() -> Clock:
    return Clock(LONG_AGO)


def token(n: int, *, position: int = 0, at: datetime = LONG_AGO) -> str:
    return token_sign(
        RankingToken(
            shop_id=SHOP_ID,
            context_kind="query",
            context_key=f"query {n}",
            query=f"Query {n}",
            now=at.timestamp(),
            model="1.0",
            positions={"weights": position},
        )
    )


def send_one_by_one(*events: dict[str, Any]) -> None:
    """So that positions follow the order given."""
    for event in events:
        assert not events_record(shop_id=SHOP_ID, items=[event], now=LONG_AGO).rejected
    while sequence() > 0:
        pass


def click_throughs_of_all() -> list[Any]:
    return closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=last_position())


def stored(projection: Projection) -> dict[str, list[Any]]:
    return {table: sorted(rows(f"SELECT * FROM {table}"), key=repr) for table in projection.tables}


def some_day(seed: int, size: int = 250) -> list[dict[str, Any]]:
    """A day of a shop whose shoppers' events arrive out of order."""
    dice = random.Random(seed)
    tokens = [token(n) for n in range(12)]
    events = []
    for n in range(size):
        moment = LONG_AGO + timedelta(minutes=n + dice.gauss(0, 25))
        event: dict[str, Any] = {"event_id": f"{seed}-{n}", "occurred_at": moment.isoformat()}
        products = dice.sample(["mug", "pot", "pan", "cup"], 3)
        if dice.random() < 0.4:
            event |= {"kind": "impression", "items": products}
        else:
            event |= {"kind": dice.choice(["click", "purchase", "view"]), "product_id": products[0]}
            event |= {"query": "tea"} if dice.random() < 0.3 else {}
        if dice.random() < 0.8:
            event["ranking_token"] = dice.choice(tokens[max(0, n // 20 - 2) : n // 20 + 2] or tokens[-2:])
        if dice.random() < 0.7:
            event["shopper_id"] = dice.choice(["alice", "bob"])
        events.append(event)
    return events


@pytest.mark.parametrize("seed", range(4))
def test_click_throughs_are_the_same_however_the_log_is_cut(empty_shop: SmallShop, seed: int) -> None:
    send_one_by_one(*some_day(seed))
    while drain_projection(click_throughs):
        pass
    whole = stored(click_throughs)
    assert len(whole["feedback_clickthrough"]) > 50

    for table in click_throughs.tables:
        query(f"DELETE FROM {table}")
    query("DELETE FROM eventlog_checkpoint WHERE consumer = 'click_throughs'")
    query("DELETE FROM eventlog_drain WHERE consumer = 'click_throughs'")
    dice = random.Random(seed)
    while drain_projection(click_throughs, batch=dice.randint(1, 20)):
        pass

    assert stored(click_throughs) == whole
    assert parked() == []


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize("projection", [facts, click_throughs], ids=lambda projection: projection.name)
def test_rebuilt_equals_live(projection: Projection) -> None:
    send_one_by_one(*some_day(9))
    while drain_projection(projection, batch=13):
        pass
    live = stored(projection)

    rebuild(projection.name)

    assert stored(projection) == live


def test_facts_are_kept_under_their_position(empty_shop: SmallShop, alice: Shopper) -> None:
    empty_shop.record(alice.sees(["mug", "pot"], query="Tea", rank=11))
    empty_shop.record(alice.buys("mug", query="tea!", quantity=2, price=14.5))

    assert rows("SELECT position, context_key, items, first_rank, at FROM feedback_impression") == [
        (1, "tea", ["mug", "pot"], 11, LONG_AGO)
    ]
    assert rows("SELECT position, kind, product_id, context_key, quantity, price, at FROM feedback_interaction") == [
        (2, "purchase", "mug", "tea", 2, 14.5, LONG_AGO)
    ]


def test_a_quiet_shops_clock_closes_what_is_due(empty_shop: SmallShop, alice: Shopper, clock: Clock) -> None:
    shown = alice.sees(["mug", "pot"], ranking_token=token(1))
    clicked = alice.clicks("mug", ranking_token=token(1))
    empty_shop.record(clicked)
    empty_shop.record(shown)
    assert click_throughs_of_all() == []

    ticked = [clock_tick(now=clock.tick(seconds=seconds)) for seconds in (1799, 1, 1)]
    drain()

    assert ticked == [0, 1, 0]  # before it is due, due, and the same minute again
    [closed] = click_throughs_of_all()
    assert (closed.closed_position, closed.outcomes, closed.implied) == (3, {"mug": ["click"]}, False)
    assert (closed.context_text, closed.items, closed.first_rank) == ("Query 1", ["mug", "pot"], 1)
    assert clock_tick(now=clock.tick(seconds=3600)) == 0  # nothing is open any more


def test_the_trainer_reads_in_closing_order(empty_shop: SmallShop, alice: Shopper, clock: Clock) -> None:
    shown = alice.sees(["mug"], ranking_token=token(1))
    clicked = alice.clicks("pot", query="tea")
    clock.tick(seconds=1800)
    send_one_by_one(shown, clicked, alice.clicks("mug", ranking_token=token(1)))
    drain()

    found = click_throughs_of_all()

    assert [(each.closed_position, each.implied, each.late) for each in found] == [
        (2, True, False),
        (3, False, False),
        (3, True, True),
    ]
    assert closed_click_throughs(shop_id=SHOP_ID, after_position=2, to_position=3) == found[1:]
    assert closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=3, limit=1) == found[:1]


def test_fresh_share_counts_answers_that_lacked_nothing_older_than_the_target(
    empty_shop: SmallShop, alice: Shopper
) -> None:
    send_one_by_one(alice.clicks("mug"), alice.clicks("pot"))
    recorded_at = scalar("SELECT max(recorded_at) FROM eventlog_event")
    soon, later = recorded_at + timedelta(seconds=1.9), recorded_at + timedelta(seconds=2.1)
    send_one_by_one(
        alice.sees(["mug"], ranking_token=token(1, position=9, at=later)),  # has everything
        alice.sees(["mug"], ranking_token=token(2, position=1, at=soon)),  # lacks one that is not old enough to count
        alice.sees(["mug"], ranking_token=token(3, position=1, at=later)),  # lacks one
        alice.sees(["mug"], query="no token, no answer of ours"),
    )
    drain()

    assert fresh_share(shop_id=SHOP_ID, since=LONG_AGO, target_seconds=2.0) == pytest.approx(2 / 3)
    assert fresh_share(shop_id=SHOP_ID, since=LONG_AGO + timedelta(days=1)) is None


def test_an_impression_of_a_product_that_comes_later_counts_when_it_comes(
    empty_shop: SmallShop, alice: Shopper
) -> None:
    empty_shop.record(alice.clicks("mug", query="tea"))
    empty_shop.offer({"product_id": "mug", "title": "A mug"})

    assert scalar("SELECT count(*) FROM feedback_interaction i JOIN catalog_product p USING (shop_id, product_id)") == 1
