"""One answer shown to thousands (a cached page): joined as if each had an answer of their own, and as fast."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from eventlog.consume import drain
from eventlog.database import query, rows
from eventlog.services import sequence
from feedback.joining import Join, Moment
from feedback.projections import click_throughs
from feedback.ranking_token import RankingToken, token_sign
from feedback.services import events_record
from tests.cast import SHOP_ID, SmallShop

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TOKEN = token_sign(
    RankingToken(
        shop_id=SHOP_ID, context_kind="query", context_key="tea", query="tea", now=LONG_AGO.timestamp(), model="1"
    )
)


def happening(dice: random.Random, n: int, minutes: float) -> dict[str, Any]:
    products = dice.sample(["mug", "pot", "pan", "cup"], dice.randint(1, 3))
    shown = {"kind": "impression", "items": products}
    did = {"kind": dice.choice(["click", "purchase"]), "product_id": products[0]}
    who = dice.choice([{}, {"shopper_id": "alice"}, {"shopper_id": "bob"}])
    moment = LONG_AGO + timedelta(minutes=minutes + dice.gauss(0, 10))
    what = shown if dice.random() < 0.4 else did
    return {"event_id": f"{n}", "occurred_at": moment.isoformat(), "ranking_token": TOKEN} | who | what


def send(events: list[dict[str, Any]]) -> None:
    for event in events:
        assert not events_record(shop_id=SHOP_ID, items=[event], now=LONG_AGO).rejected
    while sequence() > 0:
        pass


def stored() -> list[Any]:
    return [sorted(rows(f"SELECT * FROM {table}"), key=repr) for table in click_throughs.tables]


@pytest.mark.parametrize("seed", range(6))
def test_a_shared_ranking_is_joined_alike_however_the_log_is_cut(empty_shop: SmallShop, seed: int) -> None:
    dice = random.Random(seed)
    send([happening(dice, n, minutes=n) for n in range(250)])
    while drain(click_throughs):
        pass
    whole = stored()
    assert len(whole[0]) > 50

    for table in click_throughs.tables:
        query(f"DELETE FROM {table}")
    query("DELETE FROM eventlog_checkpoint WHERE consumer = 'click_throughs'")
    query("DELETE FROM eventlog_drain WHERE consumer = 'click_throughs'")
    while drain(click_throughs, batch=dice.randint(1, 20)):
        pass

    assert stored() == whole


@pytest.mark.parametrize("shopper", [None, "alice", "each"])
def test_a_batch_reads_no_more_of_a_shared_ranking_than_it_touches(empty_shop: SmallShop, shopper: str | None) -> None:
    def event(n: int, minutes: float, **what: Any) -> dict[str, Any]:
        who = {} if shopper is None else {"shopper_id": f"{shopper} {n // 2 if shopper == 'each' else ''}"}
        moment = LONG_AGO + timedelta(minutes=minutes)
        return {"event_id": f"{n}", "occurred_at": moment.isoformat(), "ranking_token": TOKEN} | who | what

    for n in range(0, 400, 2):
        shown = event(n, n / 20, kind="impression", items=["mug", "pot"])
        send([shown, event(n + 1, n / 20, kind="click", product_id="mug")])
    while drain(click_throughs):
        pass
    read: list[int] = []
    advance = Join.advance

    def counted(join: Join, moment: Moment) -> None:
        read.append(len(join.open))
        advance(join, moment)

    send([event(1000, 30.05, kind="click", product_id="pot")])
    with patch.object(Join, "advance", counted):
        drain(click_throughs)

    assert read == [2]  # of 400 open: the impression that is due, and its click
