"""The worked example of the article that Freshet is built on: three products, their weights and a description changed.

score_i(q) = ŷ_i(q) × w_i(q), to the digit, through REST alone.
"""

from __future__ import annotations

import pytest

from tests.cast import Api, SmallShop, drain

QUERY = "hand-thrown mug"
PRODUCTS = [
    {"product_id": "1", "title": "Mug A", "description": "A mug."},
    {"product_id": "2", "title": "Mug B", "description": "A hand-thrown mug."},
    {"product_id": "3", "title": "Mug C", "description": "Another mug for tea."},
]


def set_weights(api: Api, *weights: float) -> None:
    body = {"weights": [{"product_id": str(n), "weight": weight} for n, weight in enumerate(weights, start=1)]}
    assert api.put("/v1/weights", body).json()["accepted"] == len(weights)
    drain()


def answer(api: Api) -> dict[str, dict[str, float]]:
    items = api.get("/v1/search", q=QUERY, explain="1").json()["items"]
    return {item["product_id"]: item for item in items}


@pytest.fixture
def article(empty_shop: SmallShop, api: Api) -> Api:
    api.post("/v1/products", {"products": PRODUCTS})
    drain()
    return api


def test_scores_are_relevance_times_the_weights_that_were_set(article: Api) -> None:
    set_weights(article, 1.0, 0.8, 0.6)

    before = answer(article)

    assert [before[n]["weight"] for n in "123"] == [1.0, 0.8, 0.6]
    assert all(item["score"] == item["relevance"] * item["weight"] for item in before.values())


def test_changed_weights_and_a_new_description_give_the_scores_of_the_article(article: Api) -> None:
    set_weights(article, 1.0, 0.8, 0.6)
    before = answer(article)

    set_weights(article, 0.9, 1.0, 0.5)
    revised = article.post(
        "/v1/products/1/descriptions",
        {"description": "A hand-thrown mug from the new kiln."},
        headers={"if-match": '"1"'},
    )
    assert revised.status_code in (200, 201)
    drain()
    after = answer(article)

    assert after["1"]["score"] == after["1"]["relevance"] * 0.9
    assert after["2"]["score"] == before["2"]["relevance"] * 1.0
    assert after["3"]["score"] == before["3"]["relevance"] * 0.5
    assert after["1"]["description_version"] == 2
    assert after["1"]["relevance"] > before["1"]["relevance"]
    ranked = sorted(after.values(), key=lambda item: (-item["score"], item["product_id"]))
    assert [item["rank"] for item in ranked] == [1, 2, 3]
