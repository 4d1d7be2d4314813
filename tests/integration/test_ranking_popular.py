"""What many contexts rewarded is a candidate of every query, also where a shop is too large to be taken whole."""

from __future__ import annotations

import pytest

from eventlog.database import query, rows, scalar
from feedback.contexts import query_context
from ranking import retrieval
from ranking.policies import shop_embed
from ranking.retrieval import BREADTH_ORDER
from ranking.serving import Ranked, SearchRequest, rank
from ranking.towers import query_vectors, serving
from tests.cast import SHOP_ID, Shopper, SmallShop


@pytest.fixture
def large(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> SmallShop:
    """The small shop as if it were large: of each source two products at most, none of the newest."""
    for name, most in {"WHOLE": 0, "DENSE": 2, "LEXICAL": 2, "LEARNED": 2, "POPULAR": 2, "FRESH": 0}.items():
        monkeypatch.setattr(retrieval, name, most)
    return shop


def ranked(text: str, shop: SmallShop) -> Ranked:
    model = serving.model(SHOP_ID)
    request = SearchRequest(shop_id=SHOP_ID, q=text, now=shop.clock.now.timestamp())
    return rank(request, query_context(text), model, query_vectors.get(model, text))


def test_a_product_that_many_queries_found_is_a_candidate_of_the_next(large: SmallShop, alice: Shopper) -> None:
    assert "novel" not in ranked("raincoat", large).candidates.product_ids

    for text in ("winter reading", "lighthouse", "a present", "promise"):
        large.record(alice.clicks("novel", query=text))

    assert "novel" in ranked("raincoat", large).candidates.product_ids


def test_a_retired_product_is_none(large: SmallShop, alice: Shopper) -> None:
    large.record(alice.clicks("novel", query="winter reading"))
    large.retire("novel")

    assert "novel" not in ranked("raincoat", large).candidates.product_ids


@pytest.mark.django_db
def test_the_order_is_that_of_its_index() -> None:
    definition = scalar("SELECT indexdef FROM pg_indexes WHERE indexname = 'ranking_productweight_breadth'")

    assert BREADTH_ORDER in definition


@pytest.mark.django_db
def test_its_index_finds_the_broadest_of_a_shop() -> None:
    for planned in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
        query(f"SET LOCAL {planned} = off")
    sql = f"EXPLAIN SELECT product_id FROM ranking_productweight t WHERE shop_id = 1 AND breadth > 0 ORDER BY {BREADTH_ORDER} DESC"

    plan = "\n".join(line for (line,) in rows(sql))

    assert "ranking_productweight_breadth" in plan
    assert "Sort" not in plan


def test_the_same_words_in_another_case_have_the_same_neighbours(shop: SmallShop, alice: Shopper) -> None:
    shop.record(alice.clicks("headphones", query="wireless headphones"))
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)

    typed, plain = ranked("Wireless HEADPHONE!", shop), ranked("wireless headphone", shop)

    assert plain.near == typed.near != []
