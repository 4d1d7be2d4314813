"""What rules and relations need is a candidate, also where a shop is too large to be taken whole."""

from __future__ import annotations

from typing import Any

import pytest

from ranking import retrieval
from ranking.rules.services import arrangement_put, rules_put
from ranking.serving import SearchRequest, search
from tests.cast import SHOP_ID, SmallShop, drain


@pytest.fixture
def large(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> SmallShop:
    """The small shop as if it were large: of each source two products at most, none of the newest."""
    shop.offer(
        {"product_id": "raincoat-2", "title": "Anorak", "relations": [{"kind": "replaces", "product_id": "raincoat"}]}
    )
    for name, most in {"WHOLE": 0, "DENSE": 2, "LEXICAL": 2, "LEARNED": 2, "POPULAR": 2, "FRESH": 0}.items():
        monkeypatch.setattr(retrieval, name, most)
    return shop


def answer(shop: SmallShop, q: str, **more: Any) -> dict[str, Any]:
    return search(SearchRequest(shop_id=SHOP_ID, q=q, now=shop.clock.now.timestamp(), explain=True, **more))


def ids(found: dict[str, Any]) -> list[str]:
    return [item["product_id"] for item in found["items"]]


def test_a_pinned_product_is_found_though_nothing_finds_it(large: SmallShop) -> None:
    before = answer(large, "waterproof raincoat")
    rules_put(
        shop_id=SHOP_ID, now=large.clock.now, items=[{"id": "x", "kind": "pin", "rank": 1, "product_id": "novel"}]
    )
    drain()

    found = answer(large, "waterproof raincoat")

    assert "novel" not in ids(before)
    assert ids(found) == ["novel", *ids(before)]
    assert found["total"] == before["total"] + 1
    first = found["items"][0]
    assert first["score"] == first["relevance"] * first["weight"]


def test_a_successor_is_found_though_nothing_finds_it(large: SmallShop) -> None:
    before = answer(large, "waterproof raincoat")
    arrangement_put(shop_id=SHOP_ID, now=large.clock.now, body={"search": {"replaced": "successor"}})
    drain()

    found = answer(large, "waterproof raincoat")

    assert ids(before)[0] == "raincoat"
    assert "raincoat-2" not in ids(before)
    assert ids(found) == ["raincoat-2", *ids(before)[1:]]
    assert found["items"][0]["explanation"]["rules"] == [{"kind": "replaces", "product_ids": ["raincoat"]}]
