"""A recommendation is read in one snapshot: nothing on its way begins or ends a transaction of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eventlog.database import raw_connection
from ranking.bandit.state import states
from ranking.recommending import RecommendRequest, recommend
from ranking.strategies.mixes import SURFACES, Surface
from tests.cast import PRODUCTS, SHOP_ID, Clock, Shopper, SmallShop


@pytest.mark.parametrize("surface", SURFACES)
def test_no_transaction_begins_within_another(real_db: None, surface: Surface) -> None:
    shop = SmallShop(clock=Clock(datetime.now(UTC)))
    shop.offer(*PRODUCTS)
    alice = Shopper("alice", shop.clock)
    shop.record(alice.clicks("mug"), alice.buys("teapot"))
    states.forget()
    said: list[str] = []
    raw_connection().add_notice_handler(lambda notice: said.append(str(notice.message_primary)))

    asked = RecommendRequest(
        shop_id=SHOP_ID,
        surface=surface,
        product_ids=() if surface == "home" else ("mug",),
        now=shop.clock.now.timestamp(),
    )

    assert recommend(asked)["items"]
    assert said == []
