"""The relevance of an answer is the formula of the design: the head over dense and lexical evidence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ranking.policies import shop_embed
from ranking.relevance import head_default, relevance
from tests.cast import Api, SmallShop


@pytest.mark.parametrize("query", ["stoneware mug", "footwear", "蓝牙耳机", "🙂"])
def test_relevance_comes_from_the_head_and_the_evidence_shown(shop: SmallShop, api: Api, query: str) -> None:
    shop_embed(shop_id=shop.shop_id, now=datetime.now(UTC))
    shop.offer({"product_id": "late", "title": "Stoneware jug"})  # without a vector

    items = api.get("/v1/search", q=query, k=100, explain=1).json()["items"]

    dense = [item["explanation"]["dense"] for item in items]
    lexical = [item["explanation"]["lexical"] for item in items]
    known = [float("nan") if cosine is None else cosine for cosine in dense]
    expected = relevance(known, lexical, head_default("all-minilm-l6-v2"), "query")
    assert dense.count(None) == 1
    assert all(0.0 <= each <= 1.0 for each in lexical)
    assert [item["relevance"] for item in items] == expected.tolist()
