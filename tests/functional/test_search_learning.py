"""What shoppers do moves the next search: for this query, for near ones, everywhere; and not for unrelated ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ranking.policies import shop_embed
from tests.cast import Api, Shopper, SmallShop, drain


@pytest.fixture
def busy(shop: SmallShop) -> SmallShop:
    """The small shop with vectors, at the time that it is."""
    shop.clock.now = datetime.now(UTC)  # searches ask the real clock
    relate(shop)
    return shop


def relate(shop: SmallShop) -> None:
    """Do what the embedding worker does each second."""
    shop_embed(shop_id=shop.shop_id, now=shop.clock.now)
    drain()


def items(api: Api, q: str) -> dict[str, dict[str, Any]]:
    found = api.get("/v1/search", q=q, k=100, explain=1).json()["items"]
    return {item["product_id"]: item for item in found}


def factor(api: Api, q: str, product_id: str, name: str = "query") -> float:
    return float(items(api, q)[product_id]["explanation"]["weight"][name])


def test_clicks_for_a_query_lift_the_product_at_the_next_search(busy: SmallShop, api: Api, alice: Shopper) -> None:
    before = items(api, "something for tea")

    busy.record(*(alice.clicks("kettle", query="something for tea") for _ in range(12)))

    after = items(api, "something for tea")
    assert after["kettle"]["score"] > before["kettle"]["score"]
    assert after["kettle"]["rank"] == 1 < before["kettle"]["rank"]


def test_a_purchase_lifts_more_than_a_click_and_a_view_less(busy: SmallShop, api: Api, alice: Shopper) -> None:
    busy.record(
        alice.buys("mug", query="present"), alice.clicks("kettle", query="present"), alice.views("teapot", query="present")
    )  # fmt: skip

    lift = {n: factor(api, "present", n) * items(api, "present")[n]["relevance"] for n in ("mug", "kettle", "teapot")}
    assert lift["mug"] > lift["kettle"] > lift["teapot"]


def test_spelling_of_case_and_signs_is_the_same_query(busy: SmallShop, api: Api, alice: Shopper) -> None:
    busy.record(*(alice.clicks("kettle", query="Something, for TEA!") for _ in range(5)))

    assert factor(api, "something for tea", "kettle") == pytest.approx(
        factor(api, "SOMETHING for tea", "kettle"), rel=1e-3
    )
    assert factor(api, "something for tea", "kettle") > 1.5


def test_what_shoppers_taught_for_a_query_moves_its_paraphrase(busy: SmallShop, api: Api, alice: Shopper) -> None:
    before = factor(api, "shoes for running", "sneakers")

    busy.record(*(alice.clicks("sneakers", query="running shoes") for _ in range(10)))
    relate(busy)

    assert before == 1.0
    assert factor(api, "shoes for running", "sneakers") > 1.05
    assert factor(api, "bluetooth music", "sneakers") == 1.0


def test_a_query_does_not_learn_from_itself_twice(busy: SmallShop, api: Api, alice: Shopper) -> None:
    """Before its neighbours are known, a query searches for them: it must not find itself."""
    busy.record(*(alice.clicks("kettle", query="something for tea") for _ in range(8)))

    before = factor(api, "something for tea", "kettle")
    relate(busy)

    assert factor(api, "something for tea", "kettle") == pytest.approx(before, rel=1e-3)


def test_impressions_without_clicks_lower_a_product(busy: SmallShop, api: Api, alice: Shopper, bob: Shopper) -> None:
    shown = ["mug", "teapot", "kettle"]
    busy.record(
        *(alice.sees(shown, query="tea things") for _ in range(30)),
        *(bob.clicks("teapot", query="tea things") for _ in range(15)),
    )

    found = items(api, "tea things")
    assert found["mug"]["weight"] < 0.8
    assert found["teapot"]["weight"] > 1.2
    assert found["teapot"]["explanation"]["basis"] == "impressions"


def test_without_impressions_the_basis_is_clicks_and_without_either_none(
    busy: SmallShop, api: Api, alice: Shopper
) -> None:
    busy.record(alice.clicks("mug", query="cup"))

    assert items(api, "cup")["mug"]["explanation"]["basis"] == "clicks"
    assert items(api, "rain")["raincoat"]["explanation"]["basis"] == "none"


def test_what_many_queries_reward_does_better_for_every_query(busy: SmallShop, api: Api, alice: Shopper) -> None:
    busy.record(*(alice.clicks("trainers", query=f"query {n}") for n in range(10)))

    assert factor(api, "summer clothes", "trainers", "global") > 1.0 > factor(api, "summer clothes", "novel", "global")


def test_what_is_shown_in_vain_everywhere_does_worse_everywhere(
    busy: SmallShop, api: Api, alice: Shopper, bob: Shopper
) -> None:
    queries = ("listen", "gift", "black", "home")
    busy.record(
        *(alice.sees(["speaker", "headphones"], query=q) for q in queries * 10),
        *(bob.clicks("headphones", query=q) for q in queries * 5),
    )

    assert factor(api, "music", "speaker", "global") < 1.0 < factor(api, "music", "headphones", "global")


def test_dismissals_cancel_clicks(busy: SmallShop, api: Api, alice: Shopper, bob: Shopper) -> None:
    busy.record(*(alice.clicks("kettle", query="tea") for _ in range(4)))
    clicked = factor(api, "tea", "kettle")
    busy.record(*(bob._event("dismiss", product_id="kettle", query="tea") for _ in range(2)))

    assert clicked > 1.0
    assert factor(api, "tea", "kettle") <= 1.0


def test_feedback_for_a_product_that_is_not_there_yet_counts_when_it_arrives(
    busy: SmallShop, api: Api, alice: Shopper
) -> None:
    busy.record(*(alice.clicks("samovar", query="tea maker") for _ in range(12)))
    assert "samovar" not in items(api, "tea maker")

    busy.offer({"product_id": "samovar", "title": "Samovar", "description": "From Tula."})

    assert items(api, "tea maker")["samovar"]["rank"] == 1
    assert factor(api, "tea maker", "samovar") > 1.0


def test_old_clicks_count_less_than_new_ones(busy: SmallShop, api: Api, alice: Shopper) -> None:
    old = {"occurred_at": "2020-01-01T00:00:00Z"}
    busy.record(*(alice.clicks("raincoat", query="old tea") | old for _ in range(12)))
    busy.record(*(alice.clicks("raincoat", query="new water") for _ in range(12)))

    assert factor(api, "old tea", "raincoat") == pytest.approx(1.0)
    assert factor(api, "new water", "raincoat") > 1.5


def test_a_clock_that_runs_ahead_gains_nothing(busy: SmallShop, api: Api, alice: Shopper) -> None:
    ahead = {"occurred_at": "2090-01-01T00:00:00Z"}
    result = busy.record(*(alice.clicks("kettle", query="future tea") | ahead for _ in range(12)))
    busy.record(*(alice.clicks("kettle", query="present water") for _ in range(12)))

    gained = items(api, "future tea")["kettle"]["explanation"]["events"]
    assert not result.rejected
    assert gained == pytest.approx(items(api, "present water")["kettle"]["explanation"]["events"], rel=0.01)


def test_an_explanation_adds_up(busy: SmallShop, api: Api, alice: Shopper, bob: Shopper) -> None:
    busy.record(
        *(alice.sees(["mug", "teapot", "kettle"], query="tea") for _ in range(5)), *(bob.buys("mug", query="tea"),)
    )
    api.put("/v1/weights", {"weights": [{"product_id": "mug", "query": "tea", "weight": 0.5}]})
    drain()

    found = items(api, "tea")

    for item in found.values():
        factors = item["explanation"]["weight"]
        assert item["weight"] == factors["global"] * factors["query"] * factors["operator"]
    assert found["mug"]["explanation"]["weight"]["operator"] == 0.5
    assert found["mug"]["explanation"]["events"] > 10
