"""What is left when projections and what lies beside the log disagree: nothing fails, nothing spins, nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.events import ProductDescribed
from eventlog import rebuild as rebuilding
from eventlog.database import query, rows, scalar
from eventlog.rebuild import rebuild
from eventlog.selectors import last_position, read
from ranking.policies import shop_embed
from ranking.projections.postings import postings
from ranking.serving import SearchRequest, search
from tests.cast import PRODUCTS, SHOP_ID, Api, Shopper, SmallShop, drain


def test_a_vector_that_outlives_its_context_is_no_neighbour(shop: SmallShop, alice: Shopper) -> None:
    shop.record(alice.clicks("headphones", query="wireless headphones"))
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    query("INSERT INTO ranking_contextvector SELECT shop_id, 999999, encoder, vector FROM ranking_contextvector")

    answer = search(SearchRequest(shop_id=SHOP_ID, q="wireless headphone", now=shop.clock.now.timestamp()))

    assert answer["items"][0]["product_id"] == "headphones"


@pytest.mark.parametrize("lost", ["ranking_descriptionvector", "ranking_relatedcontext"])
def test_what_is_recorded_but_was_not_applied_is_not_tried_for_ever(shop: SmallShop, alice: Shopper, lost: str) -> None:
    shop.record(alice.clicks("mug", query="mug"))
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    before = scalar("SELECT count(*) FROM eventlog_event")
    query(f"TRUNCATE {lost}")  # as if its events had been parked

    assert shop_embed(shop_id=SHOP_ID, now=shop.clock.now) == 0
    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_a_rebuild_during_the_first_embedding_loses_no_vector(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    original = rebuilding._replay
    replays: list[int] = []

    def replay(*given: object, **more: object) -> int:
        if not replays:  # the rebuild has copied its tables, and none of vectors was there
            query("SET search_path = public")
            shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
            query('SET search_path = "rebuild_vectors", public')
        replays.append(1)
        return original(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rebuilding, "_replay", replay)

    rebuild("vectors")

    assert scalar("SELECT count(*) FROM ranking_embedding_1_1") == len(PRODUCTS)
    shop.revise_description("mug", "Now with a lid.")
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    assert scalar("SELECT max(description_version) FROM ranking_embedding_1_1") == 2


def test_a_rebuild_ahead_of_the_first_vector_keeps_it(shop: SmallShop) -> None:
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    query("DROP TABLE ranking_embedding_1_1")
    query("TRUNCATE ranking_descriptionvector")
    query("UPDATE eventlog_checkpoint SET position = 0 WHERE consumer = 'vectors'")  # live is where it was before

    rebuild("vectors")

    assert scalar("SELECT count(*) FROM ranking_embedding_1_1") == len(PRODUCTS)


def test_an_old_description_that_is_retried_late_does_not_replace_the_newer_one(shop: SmallShop, api: Api) -> None:
    shop.revise_description("mug", "Porcelain with a lid.")
    first = next(
        event for event in read(after=0, to=last_position(), types={ProductDescribed.type})
        if event.data["product_id"] == "mug"
    )  # fmt: skip
    before = rows("SELECT term FROM ranking_posting WHERE term IN ('lid', 'coffe') ORDER BY 1")

    postings.apply([replace(first, position=last_position() + 1)])
    drain()

    assert before == rows("SELECT term FROM ranking_posting WHERE term IN ('lid', 'coffe') ORDER BY 1") == [("lid",)]
    assert scalar("SELECT description_version FROM ranking_document WHERE product_id = 'mug'") == 2


def test_an_empty_query_of_a_weight_is_refused_by_its_own_name(api: Api) -> None:
    refused = api.get("/v1/weights", product_id="mug", query=" ")

    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (400, "query_empty", "query")
