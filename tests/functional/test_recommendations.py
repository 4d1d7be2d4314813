"""`GET /v1/recommendations`: home, product and basket by the one formula; somebody and something new get an answer too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from feedback.ranking_token import token_read
from ranking.policies import shop_embed
from tests.cast import PRODUCTS, SHOP_ID, Api, Clock, Shopper, SmallShop, drain


@pytest.fixture
def visited(shop: SmallShop, alice: Shopper, bob: Shopper, charlie: Shopper) -> SmallShop:
    """The small shop: who buys a mug buys a teapot, who buys sneakers buys trainers."""
    shop.clock.now = datetime.now(UTC)
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    for n in range(6):
        tea, run = Shopper(f"tea-{n}", shop.clock), Shopper(f"run-{n}", shop.clock)
        shop.record(tea.buys("mug"), tea.buys("teapot"), run.buys("sneakers"), run.buys("trainers"))
    shop.record(alice.buys("mug"), bob.clicks("sneakers"))
    return shop


def ask(api: Api, surface: str = "home", **params: Any) -> dict[str, Any]:
    response = api.get("/v1/recommendations", surface=surface, **params)
    assert response.status_code == 200, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def order(answer: dict[str, Any]) -> list[str]:
    return [item["product_id"] for item in answer["items"]]


def test_a_product_page_shows_what_is_visited_together_with_it(visited: SmallShop, api: Api) -> None:
    assert order(ask(api, "product", product_id="mug"))[0] == "teapot"
    assert order(ask(api, "product", product_id="sneakers"))[0] == "trainers"
    assert "mug" not in order(ask(api, "product", product_id="mug", k=100))


def test_a_basket_is_recommended_for_as_a_whole_and_in_any_order(visited: SmallShop, api: Api) -> None:
    answer = ask(api, "basket", product_id=["mug", "sneakers"])

    assert set(order(answer)[:2]) == {"teapot", "trainers"}
    assert order(ask(api, "basket", product_id=["sneakers", "mug"])) == order(answer)


def test_a_home_page_follows_what_the_shopper_did_a_moment_ago(visited: SmallShop, api: Api, alice: Shopper) -> None:
    before = order(ask(api, shopper_id="alice"))
    visited.record(alice.clicks("sneakers"))
    after = order(ask(api, shopper_id="alice"))

    assert before.index("teapot") < before.index("trainers")
    assert after.index("trainers") < before.index("trainers")


def test_a_stranger_gets_what_is_popular(visited: SmallShop, api: Api) -> None:
    answer = ask(api, shopper_id="never seen", k=4)

    assert set(order(answer)) == {"mug", "teapot", "sneakers", "trainers"}
    assert answer["ranking"]["strategy"] == "home/new/blend"


def test_a_new_product_has_a_page_and_is_found_on_others(visited: SmallShop, api: Api) -> None:
    visited.offer({"product_id": "cup", "title": "Stoneware cup", "description": "A hand-thrown cup for tea, 200 ml."})
    shop_embed(shop_id=SHOP_ID, now=visited.clock.now)

    assert order(ask(api, "product", product_id="cup", k=2))
    assert "cup" in order(ask(api, "product", product_id="mug", k=5))
    assert order(ask(api, "product", product_id="not there yet", k=3))


def test_an_empty_shop_answers_with_nothing_and_a_silent_one_with_what_it_has(empty_shop: SmallShop, api: Api) -> None:
    assert ask(api)["items"] == []

    empty_shop.offer(*PRODUCTS)

    assert len(ask(api, k=5)["items"]) == 5


def test_what_a_shopper_dismissed_is_not_shown_to_her_again(visited: SmallShop, api: Api, alice: Shopper) -> None:
    visited.record(alice._event("dismiss", product_id="teapot"))

    assert "teapot" not in order(ask(api, shopper_id="alice", k=100))
    assert "teapot" in order(ask(api, k=100))


def test_filters_and_retired_products_are_respected(visited: SmallShop, api: Api) -> None:
    visited.retire("teapot")

    assert "teapot" not in order(ask(api, k=100))
    assert set(order(ask(api, filter="brand:Laufgut"))) == {"sneakers", "trainers"}


def test_score_is_relevance_times_weight_and_explained_by_strategy(visited: SmallShop, api: Api) -> None:
    api.put("/v1/weights", {"weights": [{"product_id": "teapot", "weight": 2.0}]})
    api.put("/v1/diversity", {"surface": "product", "strength": 0.0})  # it takes from the order of scores
    api.put("/v1/arrangement", {"recommendations": {"out_of_stock": "keep"}})
    drain()
    answer = ask(api, "product", product_id="mug", explain=1)

    assert all(item["score"] == item["relevance"] * item["weight"] for item in answer["items"])
    assert [item["score"] for item in answer["items"]] == sorted((i["score"] for i in answer["items"]), reverse=True)
    explained = answer["items"][0]["explanation"]
    assert explained["strategies"]["together"] > 0
    assert explained["weight"]["operator"] == 2.0


def test_clicks_on_a_product_page_teach_that_page(visited: SmallShop, api: Api) -> None:
    answer = ask(api, "product", product_id="mug")
    token, last = answer["ranking"]["token"], order(answer)[-2]  # the last one is out of stock
    for n in range(30):
        who = Shopper(f"w-{n}", visited.clock)
        visited.record(who.sees(order(answer), ranking_token=token), who.clicks(last, ranking_token=token))

    moved = ask(api, "product", product_id="mug", explain=1)
    explained = {item["product_id"]: item["explanation"]["weight"]["query"] for item in moved["items"]}
    assert explained[last] > 1.5
    assert order(moved).index(last) < order(answer).index(last)


@pytest.mark.parametrize("asked", [{"surface": "product", "product_id": "mug"}, {"surface": "home", "shopper_id": "alice"},
                                   {"surface": "basket", "product_id": ["mug", "sneakers"]}])  # fmt: skip
def test_an_answer_is_made_again_from_its_token(
    visited: SmallShop, api: Api, alice: Shopper, asked: dict[str, Any]
) -> None:
    first = ask(api, **asked)
    shown = order(first)
    visited.record(alice.sees(shown, ranking_token=first["ranking"]["token"]),
                   alice.clicks(shown[1], ranking_token=first["ranking"]["token"]))  # fmt: skip
    answer = ask(api, **asked, explain=1)

    visited.clock.tick(seconds=3600)
    for n in range(20):
        who = Shopper(f"later-{n}", visited.clock)
        visited.record(who.buys("novel"), who.sees(shown, ranking_token=answer["ranking"]["token"]),
                       who.clicks(shown[-1], ranking_token=answer["ranking"]["token"]))  # fmt: skip

    again = api.get(f"/v1/rankings/{answer['ranking']['token']}").json()
    assert order(again) == order(answer)
    for new, old in zip(again["items"], answer["items"], strict=True):
        assert new["score"] == pytest.approx(old["score"], rel=1e-6)
        assert new["weight"] == pytest.approx(old["weight"], rel=1e-6)
    assert again["ranking"]["strategy"] == answer["ranking"]["strategy"]


def test_the_token_carries_arm_and_propensity_into_the_log(visited: SmallShop, api: Api, alice: Shopper) -> None:
    answer = ask(api, shopper_id="alice")
    read = token_read(answer["ranking"]["token"], SHOP_ID)

    assert read.arm == answer["ranking"]["strategy"] == "home/few/blend"
    assert read.propensity == 1.0
    assert read.context_kind == "history"


def test_an_erased_shoppers_home_page_is_a_strangers(visited: SmallShop, api: Api) -> None:
    token = ask(api, shopper_id="alice")["ranking"]["token"]

    api.delete("/v1/shoppers/alice")
    drain()

    assert api.get(f"/v1/rankings/{token}").status_code == 410
    assert order(ask(api, shopper_id="alice")) == order(ask(api))


@pytest.mark.parametrize(("params", "field"), [
    ({}, "surface"), ({"surface": "shelf"}, "surface"), ({"surface": "product"}, "product_id"),
    ({"surface": "product", "product_id": ["mug", "novel"]}, "product_id"), ({"surface": "basket"}, "product_id"),
    ({"surface": "home", "product_id": "mug"}, "product_id"), ({"surface": "home", "k": 0}, "k"),
    ({"surface": "home", "q": "tea"}, "q"), ({"surface": "product", "product_id": "x" * 201}, "product_id"),
])  # fmt: skip
def test_bad_parameters_are_named(shop: SmallShop, api: Api, params: dict[str, Any], field: str) -> None:
    response = api.get("/v1/recommendations", **params)

    assert response.status_code == 400
    assert response.json()["field"] == field


def test_a_public_key_needs_the_shoppers_signature(visited: SmallShop, api_with: Any) -> None:
    public = api_with("search", public=True)

    assert public.get("/v1/recommendations", surface="home", shopper_id="alice").status_code == 403
    assert public.get("/v1/recommendations", surface="home").status_code == 200


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    """More products than are looked at for a page."""
    return [{"product_id": f"p{n:03}", "title": f"Shirt {n}", **more} for n in range(count)]


def test_a_page_is_filled_where_each_product_has_dozens_of_variants(empty_shop: SmallShop, api: Api) -> None:
    shirts = many(240)
    for n, shirt in enumerate(shirts):
        if n % 24:
            shirt["relations"] = [{"kind": "variant_of", "product_id": f"p{n - n % 24:03}"}]
    empty_shop.offer(*shirts)

    shown = order(ask(api, k=10))

    assert len({int(product_id[1:]) // 24 for product_id in shown}) == len(shown) == 10


def test_what_can_be_bought_comes_first_however_much_is_sold_out(empty_shop: SmallShop, api: Api, clock: Clock) -> None:
    clock.now = datetime.now(UTC)
    sold_out = many(150, in_stock=False)
    empty_shop.offer(*sold_out, {"product_id": "left", "title": "Soap"})
    empty_shop.record(*(Shopper(f"s{n}", clock).clicks(each["product_id"]) for n, each in enumerate(sold_out)))

    assert order(ask(api, k=10))[0] == "left"


def test_a_revised_description_is_compared_by_its_own_vector(visited: SmallShop, api: Api) -> None:
    api.put("/v1/diversity", {"surface": "home", "strength": 0.5})
    drain()
    before = {item["product_id"]: item["vector_version"] for item in ask(api, k=100)["items"]}
    visited.revise_description("mug", "A running shoe.")
    shop_embed(shop_id=SHOP_ID, now=visited.clock.now)

    after = {item["product_id"]: item["vector_version"] for item in ask(api, k=100)["items"]}

    assert after == {**before, "mug": 2}
