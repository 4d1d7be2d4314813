"""While a shop's sums are made anew searches go on, and a worker that is killed on the way leaves nothing half done."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from eventlog.consume import drain as drain_projection
from eventlog.database import rows, scalar
from eventlog.services import sequence
from ranking.projections import weight_refill
from ranking.projections.weights import weights
from ranking.serving import SearchRequest, search
from ranking.signal_setting import signals_set
from tests.cast import PRODUCTS, SHOP_ID, Clock, Shopper, SmallShop, drain

_SLEEPERS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event = 'PgSleep'"""


@pytest.fixture
def shop(real_db: None) -> SmallShop:
    """The small shop, whose changes are really committed, with a mug that was clicked."""
    made = SmallShop(clock=Clock(datetime.now(UTC)))
    made.offer(*PRODUCTS)
    alice = Shopper("alice", made.clock)
    made.record(*(alice.clicks("mug", query="cup") for _ in range(3)))
    return made


def ask(shop: SmallShop) -> Any:
    return search(SearchRequest(shop_id=SHOP_ID, q="cup", now=shop.clock.now.timestamp()))


def scores(answer: Any) -> list[tuple[str, float]]:
    return [(item["product_id"], item["score"]) for item in answer["items"]]


def reward() -> float:
    return float(scalar("SELECT reward FROM ranking_productweight WHERE product_id = 'mug'"))


def drain_weights(failures: list[Exception]) -> None:
    try:
        drain_projection(weights)
    except Exception as error:  # noqa: BLE001  (a thread's own; asserted by the test)
        failures.append(error)
    finally:
        connection.close()


def sleeper() -> int:
    """The session that is in the middle of it."""
    deadline = time.monotonic() + 20
    while not (found := rows(_SLEEPERS)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(found[0][0])


def test_searches_go_on_meanwhile_and_who_is_killed_leaves_nothing(
    shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, failures = ask(shop), list[Exception]()
    signals_set(shop_id=SHOP_ID, signals={"click": 5.0}, forced_because="a test", now=shop.clock.now)
    sequence()
    with monkeypatch.context() as patched:
        patched.setattr(weight_refill, "_FILL", f"{weight_refill._FILL} AND pg_sleep(30) IS NOT NULL")
        worker = threading.Thread(target=drain_weights, args=(failures,))
        worker.start()
        killed = sleeper()
        meanwhile = ask(shop)
        scalar("SELECT pg_terminate_backend(%s)", [killed])
        worker.join(timeout=20)

    assert scores(meanwhile) == scores(before)
    assert len(failures) == 1
    assert reward() == pytest.approx(3.0, rel=1e-3)
    drain()
    assert reward() == pytest.approx(15.0, rel=1e-3)
    assert scores(ask(shop)) != scores(before)
