"""A shop's table of signals: what it changes, from when on, and that whoever dies or comes meanwhile changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from eventlog.consume import drain as drain_projection
from eventlog.database import rows, scalar
from eventlog.events import EventParked
from eventlog.rebuild import rebuild
from eventlog.selectors import last_position, read_types
from eventlog.services import sequence
from feedback.projections import facts
from feedback.services import events_record
from ranking.projections import weight_refill
from ranking.projections.weight_sums import Batch
from ranking.projections.weights import weights
from ranking.serving import SearchRequest, search
from ranking.signal_setting import (
    BadSignals,
    PreviewMissing,
    preview_record,
    signals_answer,
    signals_proposed,
    signals_set,
)
from ranking.signals import signals_at, signals_now, signals_of
from ranking.versions import ranking_again
from ranking.weights.events import SignalsSet
from ranking.weights.options import DEFAULTS
from tests.cast import SHOP_ID, Shopper, SmallShop, drain
from tests.integration.test_ranking_rebuild import assert_same, content


@pytest.fixture
def busy(shop: SmallShop, alice: Shopper, bob: Shopper) -> SmallShop:
    """A shop in the present where a mug was clicked and a beaker bought, for "cup"."""
    shop.clock.now = datetime.now(UTC)
    for each in (alice, bob):
        each.clock.now = shop.clock.now
    shop.record(alice.sees(["mug", "beaker", "teapot"], query="cup"), alice.clicks("mug", query="cup"))
    shop.record(bob.clicks("mug", query="cup"), bob.buys("beaker", query="cup"), bob.views("teapot"))
    return shop


def set_signals(shop: SmallShop, **signals: float) -> None:
    signals_set(shop_id=SHOP_ID, signals=signals, forced_because="a test", now=shop.clock.now)
    drain()


def rewards(context: str = "cup") -> dict[str, float]:
    return dict(
        rows(
            """SELECT w.product_id, w.reward FROM ranking_contextweight w JOIN ranking_context c ON c.id = w.context_id
                WHERE c.key = %s""",
            [context],
        )
    )


def asked(shop: SmallShop, text: str = "cup") -> SearchRequest:
    return SearchRequest(shop_id=SHOP_ID, q=text, now=shop.clock.now.timestamp(), explain=True)


def scores(answer: dict[str, Any]) -> list[Any]:
    return [(item["product_id"], pytest.approx(item["score"], abs=1e-6)) for item in answer["items"]]


def test_what_was_recorded_before_counts_by_the_new_table(busy: SmallShop) -> None:
    assert rewards() == pytest.approx({"mug": 2.0, "beaker": 10.0, "teapot": 0.0}, rel=1e-3)

    set_signals(busy, click=3.0, purchase=5.0)

    assert rewards() == pytest.approx({"mug": 6.0, "beaker": 5.0, "teapot": 0.0}, rel=1e-3)


def test_what_comes_later_counts_by_it_too(busy: SmallShop, alice: Shopper) -> None:
    set_signals(busy, click=3.0)

    busy.record(alice.clicks("mug", query="cup"))

    assert rewards()["mug"] == pytest.approx(9.0, rel=1e-3)


def test_what_comes_with_it_in_one_batch_is_neither_lost_nor_counted_twice(busy: SmallShop, alice: Shopper) -> None:
    record: dict[str, Any] = {"shop_id": SHOP_ID, "now": busy.clock.now}
    events_record(items=[alice.clicks("mug", query="cup")], **record)
    sequence()
    signals_set(shop_id=SHOP_ID, signals={"click": 3.0}, forced_because="a test", now=busy.clock.now)
    sequence()
    events_record(items=[alice.clicks("mug", query="cup")], **record)

    drain()

    assert rewards()["mug"] == pytest.approx(12.0, rel=1e-3)


@pytest.mark.parametrize("first", [weights, facts])
def test_it_waits_for_no_other_projection(busy: SmallShop, alice: Shopper, first: Any) -> None:
    events_record(shop_id=SHOP_ID, items=[alice.clicks("mug", query="cup")], now=busy.clock.now)
    signals_set(shop_id=SHOP_ID, signals={"click": 3.0}, forced_because="a test", now=busy.clock.now)
    sequence()

    drain_projection(first)
    drain_projection(weights)

    assert rewards()["mug"] == pytest.approx(9.0, rel=1e-3)


def test_other_shops_keep_theirs(busy: SmallShop, alice: Shopper) -> None:
    event = alice.clicks("mug", query="cup")
    events_record(shop_id=2, items=[event], now=busy.clock.now)
    drain()
    before = rows("SELECT * FROM ranking_shopweight WHERE shop_id = 2")

    set_signals(busy, click=3.0)

    assert rows("SELECT * FROM ranking_shopweight WHERE shop_id = 2") == before != []
    assert signals_now(shop_id=2) is DEFAULTS


def test_a_projection_that_dies_on_the_way_leaves_all_as_it_was(
    busy: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(weights)
    monkeypatch.setattr(weight_refill, "_FILL", weight_refill._FILL + " AND 1 / (SELECT 0) = 1")

    set_signals(busy, click=3.0)

    assert content(weights) == before
    assert scalar("SELECT count(*) FROM eventlog_failure WHERE consumer = 'weights'") == 1


def test_after_an_event_was_parked_a_rebuild_still_equals_what_serves(
    busy: SmallShop, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Batch.add

    def refuse(batch: Any, event: Any) -> None:
        if event.data.get("product_id") == "kettle":
            raise ValueError("not this one")
        add(batch, event)

    with monkeypatch.context() as patched:
        patched.setattr(Batch, "add", refuse)
        for _ in range(4):
            busy.record(alice.clicks("kettle", query="cup"))
    assert [event.data["consumer"] for event in read_types(types={EventParked.type}, to=last_position())]

    set_signals(busy, click=3.0)
    live = content(weights)
    rebuild("weights")

    assert_same(content(weights), live)
    assert rewards().get("kettle", 0.0) == pytest.approx(3.0 * _clicks_applied("kettle"), rel=1e-3)


def _clicks_applied(product_id: str) -> int:
    return int(
        scalar(
            """SELECT count(*) FROM feedback_interaction i WHERE product_id = %s
                  AND NOT EXISTS (SELECT 1 FROM eventlog_parked p WHERE p.consumer = 'weights' AND p.position = i.position)""",
            [product_id],
        )
    )


def test_answers_from_before_and_after_are_made_again(busy: SmallShop) -> None:
    before = search(asked(busy))
    set_signals(busy, click=0.1, purchase=50.0, context_half_life_seconds=3600.0, pseudo_count=1.0)
    after = search(asked(busy))
    set_signals(busy, click=1.0, breadth_half_life_seconds=60.0)

    assert [item["score"] for item in before["items"]] != [item["score"] for item in after["items"]]
    for answer in (before, after, search(asked(busy))):
        again = ranking_again(shop_id=SHOP_ID, token=answer["ranking"]["token"])
        assert [(item["product_id"], item["score"]) for item in again["items"]] == scores(answer)


def test_all_that_counts_in_a_shop_asks_the_same_place(busy: SmallShop) -> None:
    set_signals(busy, pseudo_count=2.0)
    position = int(scalar("SELECT max(position) FROM ranking_signals"))

    assert signals_now(shop_id=SHOP_ID).pseudo_count == 2.0
    assert signals_at(shop_id=SHOP_ID, position=position - 1) is DEFAULTS
    assert signals_at(shop_id=SHOP_ID, position=position) is signals_now(shop_id=SHOP_ID)


def test_a_table_without_a_preview_needs_force_and_nothing_is_written(busy: SmallShop) -> None:
    last = last_position()

    with pytest.raises(PreviewMissing):
        signals_set(shop_id=SHOP_ID, signals={"click": 2.0}, now=busy.clock.now)

    sequence()
    assert last_position() == last


def test_a_table_goes_live_with_its_estimate(busy: SmallShop) -> None:
    before, table = signals_proposed({"click": 2.0}, shop_id=SHOP_ID)
    preview_record(shop_id=SHOP_ID, signals=table, before=before, estimate={"mrr": 1}, now=busy.clock.now)

    signals_set(shop_id=SHOP_ID, signals={"click": 2.0}, now=busy.clock.now)
    drain()

    assert signals_answer(shop_id=SHOP_ID)["estimate"] == {"mrr": 1}
    (event,) = read_types(types={SignalsSet.type}, to=last_position())
    assert event.data["signals"] == table == signals_of(signals_now(shop_id=SHOP_ID))


def test_a_preview_against_another_table_does_not_count(busy: SmallShop) -> None:
    before, table = signals_proposed({"click": 2.0}, shop_id=SHOP_ID)
    preview_record(shop_id=SHOP_ID, signals=table, before=before, estimate={"mrr": 1}, now=busy.clock.now)
    set_signals(busy, click=5.0)

    with pytest.raises(PreviewMissing):
        signals_set(shop_id=SHOP_ID, signals={"click": 2.0}, now=busy.clock.now)


def test_the_same_table_again_is_no_event(busy: SmallShop) -> None:
    set_signals(busy, click=2.0)

    assert signals_set(shop_id=SHOP_ID, signals={"click": 2.0}, now=busy.clock.now) == 0


@pytest.mark.parametrize(
    ("signals", "field"),
    [({"clik": 1.0}, "clik"), ({"click": 0.0}, "click"), ({"dismiss": 1.0}, "dismiss"), ({"view": float("nan")}, "view"),
     ({"recent_half_life_seconds": 1.0}, "recent_half_life_seconds"), ({"purchase": "10"}, "purchase")],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_its_name(busy: SmallShop, signals: dict[str, Any], field: str) -> None:
    with pytest.raises(BadSignals) as refused:
        signals_set(shop_id=SHOP_ID, signals=signals, forced_because="a test", now=busy.clock.now)

    assert refused.value.field == f"signals.{field}"
    assert field in refused.value.detail
