"""Result lists of busy queries: what makes one stale, what retires it, and what is written about it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from catalog.services import products_upsert
from eventlog.database import query, rows, scalar
from eventlog.events import NewEvent
from eventlog.rebuild import rebuild
from eventlog.services import append
from ranking.events import ResultListRefreshed, result_list_stream
from ranking.models import ResultList
from ranking.overlap import rank_biased_overlap
from ranking.policies import shop_embed
from ranking.projections.result_lists import result_lists
from ranking.query_refresh import K, Refresh, result_lists_refresh
from ranking.query_vectors import QueryVectors
from ranking.registry import model_get, model_promote, model_register
from ranking.serving import SearchRequest, search
from ranking.towers import serving
from tests.cast import PRODUCTS, SHOP_ID, Clock, Shopper, SmallShop, drain

QUERIES = {"tea cup": "mug", "bluetooth speaker": "speaker", "waterproof coat": "raincoat"}


@pytest.fixture
def clock() -> Clock:
    """Long ago, so that days can pass before the machine's own time comes."""
    clock = Clock()
    clock.tick(seconds=-60 * 86_400)
    return clock


@pytest.fixture
def busy(shop: SmallShop, alice: Shopper) -> SmallShop:
    """The small shop, embedded; its shoppers asked for three things, for tea cups most."""
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    drain()
    shop.record(*(alice.clicks(product, query=text) for text, product in [*QUERIES.items(), ("tea cup", "mug")]))
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)  # near contexts, too
    drain()
    return shop


@pytest.fixture
def listed(busy: SmallShop) -> SmallShop:
    """The same with a list of each query."""
    assert len(refresh(busy).refreshed) == 3
    return busy


def refresh(shop: SmallShop, **options: Any) -> Refresh:
    drain()
    return result_lists_refresh(shop_id=SHOP_ID, now=shop.clock.now, **options)


def why(outcome: Refresh) -> dict[str, str]:
    return {each.query: each.reason for each in outcome.refreshed}


def written() -> int:
    return int(scalar("SELECT count(*) FROM eventlog_event WHERE type LIKE 'ranking.ResultList%%'"))


def list_of(text: str) -> ResultList:
    return ResultList.objects.get(shop_id=SHOP_ID, context_key=text)


def test_a_busy_query_gets_a_list_of_what_a_search_answers(busy: SmallShop) -> None:
    outcome = refresh(busy)

    assert why(outcome) == dict.fromkeys(QUERIES, "new")
    for text in QUERIES:
        answer = search(SearchRequest(shop_id=SHOP_ID, q=text, k=K, now=busy.clock.now.timestamp()))
        stored = list_of(text)
        assert stored.items == [item["product_id"] for item in answer["items"]]
        assert stored.scores == pytest.approx([item["score"] for item in answer["items"]])
        assert (stored.model, stored.overlap, stored.previous_items) == (answer["ranking"]["model"], None, None)
        assert stored.as_of_position <= answer["ranking"]["as_of_position"]


def test_the_busiest_come_first_and_a_limit_holds(busy: SmallShop) -> None:
    assert why(refresh(busy, limit=1)) == {"tea cup": "new"}
    assert ResultList.objects.count() == 1


def test_once_more_at_once_writes_nothing(listed: SmallShop) -> None:
    before = scalar("SELECT count(*) FROM eventlog_event")

    assert refresh(listed) == Refresh()
    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_all_takes_what_is_not_stale_too(listed: SmallShop) -> None:
    outcome = refresh(listed, everything=True)

    assert why(outcome) == dict.fromkeys(QUERIES, "operator")
    assert {each.overlap for each in outcome.refreshed} == {1.0}


def test_it_is_stale_when_another_version_serves(listed: SmallShop) -> None:
    first = model_get(shop_id=SHOP_ID, version="1.0")
    content = bytes(scalar("SELECT content FROM ranking_artefact WHERE hash = %s", [first.artefact]))
    from ranking.events import ModelVersionTrained

    trained = ModelVersionTrained(version="1.1", encoder=first.encoder, artefact=first.artefact, config=first.config)
    model_register(shop_id=SHOP_ID, trained=trained, artefact=content, now=listed.clock.now)
    drain()
    model_promote(shop_id=SHOP_ID, version="1.1", reason="a test", now=listed.clock.now)

    assert why(refresh(listed)) == dict.fromkeys(QUERIES, "model")
    assert {each.model for each in ResultList.objects.all()} == {"1.1"}


@pytest.mark.parametrize("change", ["description", "offer", "retired"])
def test_it_is_stale_when_a_listed_product_changed(listed: SmallShop, change: str) -> None:
    query("UPDATE ranking_resultlist SET items = items[1:2]")  # the shop is so small that every list has every product
    holding = {text for text in QUERIES if "raincoat" in list_of(text).items}
    if change == "description":
        listed.revise_description("raincoat", "Bluetooth speaker in a coat.")
    elif change == "offer":
        offer = next(each for each in PRODUCTS if each["product_id"] == "raincoat") | {"price": 1.0}
        products_upsert(shop_id=SHOP_ID, items=[offer], origin="api", now=listed.clock.now)
    else:
        listed.retire("raincoat")

    assert why(refresh(listed)) == dict.fromkeys(holding, "products")
    assert "waterproof coat" in holding
    assert holding < QUERIES.keys()
    assert change != "retired" or all("raincoat" not in list_of(text).items for text in holding)


@pytest.mark.parametrize("kind", ["sees", "clicks"])
def test_it_is_stale_when_its_own_context_got_feedback(listed: SmallShop, bob: Shopper, kind: str) -> None:
    feedback = (
        bob.sees(["kettle", "teapot"], query="Tea-Cup") if kind == "sees" else bob.clicks("kettle", query="Tea-Cup")
    )
    listed.record(feedback)

    assert why(refresh(listed)) == {"tea cup": "feedback"}
    assert refresh(listed) == Refresh()


def test_it_is_stale_when_it_is_older_than_a_day(listed: SmallShop) -> None:
    listed.clock.tick(seconds=86_400 - 60)
    assert refresh(listed) == Refresh()

    listed.clock.tick(seconds=120)
    assert set(why(refresh(listed)).values()) == {"age"}
    assert refresh(listed) == Refresh()


def test_it_says_how_far_the_answer_moved_and_what_entered_and_left(listed: SmallShop, bob: Shopper) -> None:
    before = list_of("tea cup").items
    listed.retire(before[0])
    listed.record(*(bob.buys("novel", query="tea cup") for _ in range(3)))

    moved = next(each for each in refresh(listed).refreshed if each.query == "tea cup")

    stored = list_of("tea cup")
    assert moved.overlap == stored.overlap == rank_biased_overlap(before, stored.items) < 1.0
    assert stored.items[0] == "novel"
    assert moved.left == stored.left == [before[0]]
    assert moved.entered == stored.entered == [each for each in stored.items if each not in before]
    assert stored.previous_items == before


def test_a_list_is_retired_when_nobody_asked_for_30_days(listed: SmallShop, bob: Shopper) -> None:
    listed.clock.tick(seconds=29 * 86_400)
    listed.record(bob.sees(["mug"], query="tea cup"))
    listed.clock.tick(seconds=2 * 86_400)

    outcome = refresh(listed)

    assert sorted(outcome.retired) == [("bluetooth speaker", "unasked"), ("waterproof coat", "unasked")]
    assert why(outcome) == {"tea cup": "feedback"}
    assert refresh(listed) == Refresh()


def test_a_list_is_retired_when_it_finds_nothing_any_more(listed: SmallShop) -> None:
    for product in PRODUCTS:
        listed.retire(product["product_id"])

    assert {reason for _, reason in refresh(listed).retired} == {"empty"}
    assert not ResultList.objects.filter(retired_at=None).exists()
    assert refresh(listed) == Refresh()


def test_a_query_that_is_asked_again_has_a_new_list(listed: SmallShop, bob: Shopper) -> None:
    listed.clock.tick(seconds=31 * 86_400)
    assert len(refresh(listed).retired) == 3
    listed.record(bob.clicks("speaker", query="bluetooth speaker"))

    outcome = refresh(listed)

    assert why(outcome) == {"bluetooth speaker": "new"}
    assert (outcome.refreshed[0].overlap, outcome.refreshed[0].entered) == (None, [])
    assert ResultList.objects.get(retired_at=None).previous_items is None


def test_a_list_that_somebody_else_refreshes_meanwhile_is_left_to_them(listed: SmallShop, bob: Shopper) -> None:
    listed.record(bob.clicks("kettle", query="tea cup"))
    faster = list_of("tea cup")
    event = ResultListRefreshed(
        context_key="tea cup", query="tea cup", items=faster.items, scores=faster.scores, model="1.0",
        as_of_position=faster.as_of_position, reason="feedback", overlap=1.0,
    )  # fmt: skip
    new = NewEvent(event=event, stream=result_list_stream("tea cup"), occurred_at=listed.clock.now)
    append(shop_id=SHOP_ID, events=[new])  # not in the read model yet
    before = written()

    outcome = result_lists_refresh(shop_id=SHOP_ID, now=listed.clock.now)

    assert (outcome.taken, outcome.refreshed, written()) == (1, [], before)


def test_a_run_that_is_stopped_is_gone_on_with(busy: SmallShop) -> None:
    first = refresh(busy, should_stop=lambda: written() >= 1)

    assert (len(first.refreshed), first.waiting) == (1, 2)
    assert len(refresh(busy).refreshed) == 2


def test_vectors_of_busy_queries_are_there_for_every_process(listed: SmallShop) -> None:
    cache.clear()  # as after an hour, with nothing stale

    assert refresh(listed) == Refresh()

    model = serving.model(SHOP_ID)
    wanted = {model.tower.query_text(text) for text in QUERIES}
    assert QueryVectors().fetch(model.tower_key, list(wanted)) == wanted


def test_another_shop_has_lists_of_its_own(listed: SmallShop) -> None:
    before = written()

    assert result_lists_refresh(shop_id=SHOP_ID + 1, now=listed.clock.now) == Refresh()
    assert written() == before


def content() -> list[Any]:
    return rows("SELECT * FROM ranking_resultlist ORDER BY id")


def live(shop: SmallShop, bob: Shopper) -> None:
    """Lists are made, refreshed, retired, and one is made again."""
    refresh(shop)
    shop.record(bob.clicks("kettle", query="tea cup"))
    refresh(shop)
    refresh(shop, everything=True)
    shop.clock.tick(seconds=31 * 86_400)
    refresh(shop)
    shop.record(bob.clicks("speaker", query="bluetooth speaker"))
    refresh(shop)
    refresh(shop, everything=True)


def test_a_rebuilt_projection_equals_the_live_one(busy: SmallShop, bob: Shopper) -> None:
    live(busy, bob)
    before = content()

    rebuild(result_lists.name)

    assert len(before) == 3
    assert content() == before


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 1000])
def test_batches_of_any_size_give_the_same_rows(busy: SmallShop, bob: Shopper, batch: int) -> None:
    from eventlog.consume import drain as drain_projection

    live(busy, bob)
    before = content()
    query("TRUNCATE ranking_resultlist")
    query("DELETE FROM eventlog_drain WHERE consumer = %s", [result_lists.name])
    query("UPDATE eventlog_checkpoint SET position = 0 WHERE consumer = %s", [result_lists.name])

    while drain_projection(result_lists, batch=batch):
        pass

    assert content() == before
