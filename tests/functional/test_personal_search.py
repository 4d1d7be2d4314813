"""`GET /v1/search?shopper_id=`: what a shopper did moves the answer where it counts, can be made again, and goes with erasure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from feedback.ranking_token import token_read
from ranking.events import ModelVersionTrained
from ranking.learning.artefact import Artefact, artefact_write
from ranking.learning.shopper_tower import Shape, ShopperTower
from ranking.policies import shop_embed
from ranking.registry import artefact_hash, model_promote_new, model_register, model_serving
from ranking.relevance import head_default
from tests.cast import SHOP_ID, Api, Shopper, SmallShop, drain


@pytest.fixture
def personal_shop(shop: SmallShop, alice: Shopper, bob: Shopper) -> SmallShop:
    """The small shop served by a version whose evidence turned taste on; Alice buys tea things, Bob shoes and coats."""
    shop.clock.now = datetime.now(UTC)
    shop_embed(shop_id=shop.shop_id, now=shop.clock.now)
    drain()
    shop.record(*(alice.buys(product) for product in ("teapot", "kettle", "茶杯")))
    shop.record(*(bob.buys(product) for product in ("trainers", "raincoat", "sneakers")))
    tower = ShopperTower(Shape(dimensions=384))
    tensors, shape = tower.read()
    head = replace(head_default("minilm"), personal=6.0)
    content = artefact_write(Artefact(head, shopper=tensors, shopper_shape=shape))
    first = model_serving(shop_id=SHOP_ID)
    assert first is not None
    trained = ModelVersionTrained(
        version="1.1", parent="1.0", encoder=first.encoder, artefact=artefact_hash(content), config=first.config
    )
    with transaction.atomic():
        model_register(shop_id=SHOP_ID, trained=trained, artefact=content, now=shop.clock.now)
        model_promote_new(shop_id=SHOP_ID, version="1.1", reason="its evidence", now=shop.clock.now)
    drain()
    return shop


def ask(api: Api, shopper_id: str | None = None, q: str = "something for a rainy day") -> dict[str, Any]:
    params: dict[str, Any] = {"shopper_id": shopper_id} if shopper_id else {}
    answer: dict[str, Any] = api.get("/v1/search", q=q, k=12, explain=1, **params).json()
    return answer


def order(answer: dict[str, Any]) -> list[str]:
    return [item["product_id"] for item in answer["items"]]


def same(again: dict[str, Any], answer: dict[str, Any]) -> bool:
    pairs = list(zip(again["items"], answer["items"], strict=True))
    return order(again) == order(answer) and all(
        new["score"] == pytest.approx(old["score"], abs=1e-4, rel=1e-6)
        and new["relevance"] == pytest.approx(old["relevance"], abs=1e-6)
        and new["explanation"].get("personal") == pytest.approx(old["explanation"].get("personal"), abs=1e-5)
        for new, old in pairs
    )


def test_taste_moves_the_order_and_the_explanation_says_how_much(personal_shop: SmallShop, api: Api) -> None:
    of_alice, of_bob, neutral = ask(api, "alice"), ask(api, "bob"), ask(api)

    assert order(of_alice).index("teapot") < order(of_bob).index("teapot")
    assert order(of_bob).index("trainers") < order(of_alice).index("trainers")
    said = {item["product_id"]: item["explanation"]["personal"] for item in of_alice["items"]}
    assert said["teapot"] > 0 > said["trainers"]
    assert all(item["score"] == item["relevance"] * item["weight"] for item in of_alice["items"])
    assert not any("personal" in item["explanation"] for item in neutral["items"])


def test_a_stranger_gets_the_answer_of_nobody_in_particular(personal_shop: SmallShop, api: Api) -> None:
    assert ask(api, "never seen")["items"] == ask(api)["items"]


def test_a_search_for_nobody_in_particular_reads_no_history(personal_shop: SmallShop, api: Api) -> None:
    neutral, own = (token_read(ask(api, who)["ranking"]["token"], SHOP_ID) for who in (None, "alice"))

    assert "facts" not in neutral.positions
    assert own.positions["facts"] > 0
    assert "taste_centre" in own.scalars
    assert "taste_centre" not in neutral.scalars


def test_an_answer_to_a_shopper_is_made_again_from_what_she_had_done_by_then(
    personal_shop: SmallShop, api: Api, alice: Shopper
) -> None:
    answer = ask(api, "alice")
    personal_shop.clock.tick(seconds=3600)
    personal_shop.record(*(alice.buys(product) for product in ("trainers", "raincoat", "sneakers", "speaker")))
    personal_shop.revise_description("teapot", "Nothing is as it was.")
    shop_embed(shop_id=SHOP_ID, now=personal_shop.clock.now)
    drain()

    again = api.get(f"/v1/rankings/{answer['ranking']['token']}").json()

    assert same(again, answer)
    assert again["ranking"]["version"] == answer["ranking"]["version"]
    assert not same(ask(api, "alice"), answer)


def test_it_is_made_again_when_a_new_description_had_no_vector_yet(
    personal_shop: SmallShop, api: Api, alice: Shopper
) -> None:
    personal_shop.revise_description("kettle", "Now a very different thing: a raincoat.")
    personal_shop.record(alice.buys("kettle"))
    answer = ask(api, "alice")
    shop_embed(shop_id=SHOP_ID, now=personal_shop.clock.now)
    drain()

    assert token_read(answer["ranking"]["token"], SHOP_ID).scalars["h1"] == 1.0
    assert same(api.get(f"/v1/rankings/{answer['ranking']['token']}").json(), answer)


def test_an_erased_shopper_leaves_no_history_and_her_answers_are_gone(personal_shop: SmallShop, api: Api) -> None:
    token = ask(api, "alice")["ranking"]["token"]

    api.delete("/v1/shoppers/alice")

    assert api.get(f"/v1/rankings/{token}").status_code == 410
    assert ask(api, "alice")["items"] == ask(api)["items"]
    drain()
    assert ask(api, "alice")["items"] == ask(api)["items"]
