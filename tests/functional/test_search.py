"""GET /v1/search: what is found, by words at once and by meaning as soon as it is embedded, and how it is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ranking.policies import shop_embed
from tests.cast import PRODUCTS, Api, SmallShop, drain

RADIO = {"product_id": "radio", "title": "Trevi MBS-100 travel radio", "description": "Runs for a week."}


@pytest.fixture
def embedded(shop: SmallShop) -> SmallShop:
    """The small shop with its vectors."""
    shop_embed(shop_id=shop.shop_id, now=datetime.now(UTC))
    drain()
    return shop


def ids(answer: Any) -> list[str]:
    return [item["product_id"] for item in answer.json()["items"]]


def lexical(api: Api, q: str) -> dict[str, float]:
    """Lexical evidence by product, of those that have any."""
    items = api.get("/v1/search", q=q, k=100, explain=1).json()["items"]
    return {i["product_id"]: i["explanation"]["lexical"] for i in items if i["explanation"]["lexical"] > 0}


def test_an_imported_product_is_found_by_its_words_at_once(shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/search", q="enamel beaker", explain=1)

    first = answer.json()["items"][0]
    assert (first["product_id"], first["vector_version"], first["explanation"]["dense"]) == ("beaker", None, None)
    assert set(lexical(api, "enamel beaker")) == {"beaker"}


def test_words_are_found_in_titles_descriptions_brands_categories_and_attributes(shop: SmallShop, api: Api) -> None:
    assert set(lexical(api, "summer")) == {"sneakers"}
    assert set(lexical(api, "laufgut")) == {"sneakers", "trainers"}
    assert set(lexical(api, "cups")) == {"mug", "beaker"}
    assert "sneakers" in lexical(api, "red")


@pytest.mark.parametrize(
    ("query", "product_id"),
    [("footwear for jogging", "trainers"), ("umbrella weather jacket", "raincoat"), ("fiction book", "novel")],
)
def test_an_embedded_product_is_found_by_meaning(embedded: SmallShop, api: Api, query: str, product_id: str) -> None:
    answer = api.get("/v1/search", q=query, explain=1)

    first = answer.json()["items"][0]
    assert first["product_id"] == product_id
    assert first["vector_version"] == first["description_version"] == 1
    assert first["explanation"]["dense"] > 0.2


@pytest.mark.parametrize(("query", "product_id"), [("青花瓷", "茶杯"), ("降噪耳机", "耳机"), ("绿茶杯", "茶杯")])
def test_a_chinese_query_finds_the_chinese_product(shop: SmallShop, api: Api, query: str, product_id: str) -> None:
    assert ids(api.get("/v1/search", q=query))[0] == product_id
    assert product_id in lexical(api, query)


def test_a_misspelt_word_is_corrected_and_found(shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/search", q="wireless headphnes")

    assert answer.json()["corrected_query"] == "wireless headphones"
    assert ids(answer)[0] == "headphones"


def test_a_query_that_is_spelt_well_is_not_corrected(shop: SmallShop, api: Api) -> None:
    assert api.get("/v1/search", q="wireless headphones").json()["corrected_query"] is None


@pytest.mark.parametrize("query", ["MBS-100", "mbs100", "mbs 100", "MBS.100", "mbs", "trevi mbs-100"])
def test_a_model_number_is_found_whole_and_in_parts(shop: SmallShop, api: Api, query: str) -> None:
    shop.offer(RADIO)

    assert ids(api.get("/v1/search", q=query))[0] == "radio"


def test_new_wording_is_found_and_old_wording_is_not(shop: SmallShop, api: Api) -> None:
    shop.revise_description("beaker", "Lightweight tumbler for picnics.")

    assert set(lexical(api, "tumbler")) == {"beaker"}
    assert lexical(api, "camping") == {}
    assert api.get("/v1/search", q="tumbler").json()["items"][0]["description_version"] == 2


def test_a_revised_description_is_found_by_meaning_once_it_is_embedded(embedded: SmallShop, api: Api) -> None:
    embedded.revise_description("novel", "A cookery course: one hundred soups.")

    stale = next(i for i in api.get("/v1/search", q="recipes").json()["items"] if i["product_id"] == "novel")
    shop_embed(shop_id=embedded.shop_id, now=datetime.now(UTC))
    fresh = next(i for i in api.get("/v1/search", q="recipes").json()["items"] if i["product_id"] == "novel")

    assert (stale["description_version"], stale["vector_version"], fresh["vector_version"]) == (2, 1, 2)
    assert fresh["relevance"] > stale["relevance"]


def test_a_retired_product_is_never_shown(embedded: SmallShop, api: Api) -> None:
    embedded.retire("beaker")

    answer = api.get("/v1/search", q="enamel beaker", k=100, facets="brand")

    assert "beaker" not in ids(answer)
    assert answer.json()["total"] == len(PRODUCTS) - 1
    assert "Emalia" not in {facet["value"] for facet in answer.json()["facets"]["brand"]}


def test_a_new_price_is_shown_at_once(shop: SmallShop, api: Api) -> None:
    shop.offer(PRODUCTS[0] | {"price": 11.0, "in_stock": False})

    mug = api.get("/v1/search", q="stoneware mug").json()["items"][0]

    assert (mug["price"], mug["currency"], mug["in_stock"], mug["description_version"]) == (11.0, "EUR", False, 1)


def test_an_answer_says_what_it_was_made_from(embedded: SmallShop, api: Api) -> None:
    ranking = api.get("/v1/search", q="mug").json()["ranking"]

    assert ranking["version"] == f"{ranking['model']}@{ranking['as_of_position']}"
    assert (ranking["model"], ranking["strategy"], ranking["age_seconds"]) == ("1.0", "search", 0.0)
    assert ranking["as_of_position"] > 0


def test_a_score_is_exactly_relevance_times_weight_and_ranks_count_from_one(embedded: SmallShop, api: Api) -> None:
    api.put("/v1/weights", {"weights": [{"product_id": "mug", "weight": 1.3}, {"product_id": "teapot", "weight": 0.7}]})
    drain()

    items = api.get("/v1/search", q="cup of tea", k=100, explain=1).json()["items"]

    assert all(item["score"] == item["relevance"] * item["weight"] for item in items)
    assert [item["rank"] for item in items] == list(range(1, len(PRODUCTS) + 1))
    assert items == sorted(items, key=lambda item: (-item["score"], item["product_id"]))
    factors = [item["explanation"]["weight"] for item in items]
    assert all(f["global"] * f["query"] * f["operator"] == i["weight"] for f, i in zip(factors, items, strict=True))


def test_without_explain_an_item_explains_nothing(shop: SmallShop, api: Api) -> None:
    items = api.get("/v1/search", q="mug").json()["items"]

    assert all(item.get("explanation") is None for item in items)


def test_equal_scores_are_ordered_by_product_id(empty_shop: SmallShop, api: Api) -> None:
    empty_shop.offer(*({"product_id": n, "title": "Plain plate"} for n in ("b", "a10", "é", "a2", "B", "盘")))

    answer = api.get("/v1/search", q="plate")

    assert ids(answer) == sorted(["b", "a10", "é", "a2", "B", "盘"])


@pytest.mark.parametrize("sort", ["relevance", "price", "-price", "newest"])
def test_pages_do_not_overlap_and_together_are_the_whole(embedded: SmallShop, api: Api, sort: str) -> None:
    whole = api.get("/v1/search", q="shoes for tea", k=100, sort=sort).json()

    pages = [api.get("/v1/search", q="shoes for tea", k=5, offset=n, sort=sort).json() for n in (0, 5, 10)]

    paged = [item for page in pages for item in page["items"]]
    assert [(i["product_id"], i["rank"]) for i in paged] == [(i["product_id"], i["rank"]) for i in whole["items"]]
    assert {page["total"] for page in pages} == {len(whole["items"])}


def test_a_page_beyond_the_end_is_empty_and_still_counts(shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/search", q="mug", offset=1000).json()

    assert (answer["items"], answer["total"]) == ([], len(PRODUCTS))


def test_k_is_how_many_there_are_at_most(shop: SmallShop, api: Api) -> None:
    assert len(ids(api.get("/v1/search", q="mug", k=1))) == 1
    assert len(ids(api.get("/v1/search", q="mug", k=100))) == len(PRODUCTS)


def test_an_empty_shop_answers_with_nothing(empty_shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/search", q="mug", facets="brand,category,price").json()

    assert (answer["items"], answer["total"], answer["corrected_query"]) == ([], 0, None)
    assert answer["facets"] == {"brand": [], "category": [], "price": []}
    assert answer["ranking"]["as_of_position"] == 0
