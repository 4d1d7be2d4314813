"""Lexical statistics count as published: scores do not tremble with every upsert, and old answers know them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from eventlog.database import rows, scalar
from eventlog.events import NewEvent
from eventlog.services import append
from ranking.events import ContextRelated
from ranking.services import lexical_statistics_publish
from tests.cast import SHOP_ID, TEN_O_CLOCK, Api, SmallShop, drain

JUG = {"product_id": "jug", "title": "Stoneware jug", "description": "A hand-thrown jug for tea."}


@pytest.fixture
def published(shop: SmallShop) -> SmallShop:
    """The small shop with its statistics published."""
    publish(shop)
    return shop


def publish(shop: SmallShop) -> int:
    count = lexical_statistics_publish(now=shop.clock.now)
    drain()
    return count


def scores(api: Api, q: str) -> dict[str, float]:
    items = api.get("/v1/search", q=q, k=100).json()["items"]
    return {item["product_id"]: item["score"] for item in items}


def again(api: Api, answer: Any) -> list[float]:
    made = api.get(f"/v1/rankings/{answer['ranking']['token']}").json()
    assert [i["product_id"] for i in made["items"]] == [i["product_id"] for i in answer["items"]]
    return [item["score"] for item in made["items"]]


def test_scores_do_not_move_with_a_new_product_until_the_next_publication(published: SmallShop, api: Api) -> None:
    before = scores(api, "stoneware tea mug")

    published.offer(JUG)
    unpublished = scores(api, "stoneware tea mug")
    publish(published)
    after = scores(api, "stoneware tea mug")

    assert {n: unpublished[n] for n in before} == before
    assert unpublished["jug"] > 0
    assert after["mug"] != before["mug"]


def test_scores_do_not_move_when_a_product_retires_until_the_next_publication(published: SmallShop, api: Api) -> None:
    before = scores(api, "stoneware tea mug")

    published.retire("mug")

    assert scores(api, "stoneware tea mug") == {n: each for n, each in before.items() if n != "mug"}


def test_a_publication_that_changes_nothing_is_not_made(published: SmallShop) -> None:
    assert publish(published) == 0


def test_the_first_products_are_published_at_once_and_few_changes_after_an_hour(shop: SmallShop) -> None:
    assert publish(shop) == 1
    shop.offer(*({"product_id": f"p{n}", "title": f"Plate {n}"} for n in range(100)))
    assert publish(shop) == 1  # 100 of 12 is more than 2 %

    shop.revise_description("mug", "Another one.")
    assert publish(shop) == 0
    shop.clock.tick(seconds=3700)
    assert publish(shop) == 1


def test_an_answer_from_before_a_publication_is_made_again_after_it(published: SmallShop, api: Api) -> None:
    answer = api.get("/v1/search", q="stoneware tea mug", k=100).json()
    published.offer(JUG)
    publish(published)

    assert again(api, answer) == pytest.approx([item["score"] for item in answer["items"]], abs=1e-9)


@pytest.mark.parametrize("query", ["stoneware cup", "camping fire tea", "stoneware"])
def test_an_answer_whose_words_no_product_has_any_more_is_made_again(
    published: SmallShop, api: Api, query: str
) -> None:
    """Words that are published and gone: between a retirement and the next publication."""
    published.retire("mug")
    published.retire("beaker")

    answer = api.get("/v1/search", q=query, k=100).json()

    assert again(api, answer) == pytest.approx([item["score"] for item in answer["items"]], abs=1e-9)


def test_an_answer_from_before_the_first_publication_is_made_again(shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/search", q="stoneware tea mug", k=100).json()
    publish(shop)

    assert again(api, answer) == pytest.approx([item["score"] for item in answer["items"]], abs=1e-9)


def test_publications_keep_the_counts_of_their_moment(published: SmallShop) -> None:
    published.offer(JUG)
    published.clock.now += timedelta(hours=2)
    publish(published)

    counts = rows("SELECT documents FROM ranking_termpublication WHERE term = 'stonewar' ORDER BY position")
    assert [documents for (documents,) in counts] == [1, 2]


@pytest.mark.parametrize("drains", [1, 2])
def test_of_two_findings_of_a_pair_of_contexts_the_nearer_counts(db: None, drains: int) -> None:
    for context_id, neighbours in ((7, [(9, 0.7)]), (9, [(7, 0.9), (8, 0.8)]), (8, [(9, 0.6)])):
        event = ContextRelated(context_id=context_id, encoder="e", neighbours=neighbours)
        append(
            shop_id=SHOP_ID,
            events=[NewEvent(event=event, occurred_at=TEN_O_CLOCK)],
        )
        if drains > 1:
            drain()
    drain()

    found = rows("SELECT context_id, neighbour_id, similarity FROM ranking_contextneighbour ORDER BY 1, 2")
    assert found == [(7, 9, 0.9), (8, 9, 0.8), (9, 7, 0.9), (9, 8, 0.8)]
    assert scalar("SELECT count(*) FROM ranking_relatedcontext") == 3
