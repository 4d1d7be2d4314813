"""POST /v1/judgments: the newest rating of a query and product counts, each item is answered on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eventlog.database import scalar
from eventlog.selectors import last_position
from ranking.judgements import judgements_at, judgements_position
from tests.cast import SHOP_ID, Api, SmallShop, drain

TEA = {"query": "tea cup", "product_id": "mug", "rating": 3}


def post(api: Api, *judgements: Any) -> Any:
    answer = api.post("/v1/judgments", {"judgments": list(judgements)})
    drain()
    return answer.json()


def listed(position: int | None = None) -> dict[str, dict[str, float]]:
    found = judgements_at(shop_id=SHOP_ID, position=last_position() if position is None else position)
    return {each.text: dict(each.ratings) for each in found}


def test_judgements_are_in_the_list_with_a_receipt(empty_shop: SmallShop, api: Api) -> None:
    answer = post(
        api, TEA, TEA | {"product_id": "beaker", "rating": 1.5}, {"query": "茶", "product_id": "x", "rating": 0}
    )

    assert answer | {"receipt": ""} == {"accepted": 3, "duplicates": 0, "rejected": [], "receipt": ""}
    assert listed() == {"tea cup": {"beaker": 1.5, "mug": 3.0}, "茶": {"x": 0.0}}
    assert api.get(f"/v1/receipts/{answer['receipt']}").json()["visible"]


def test_sending_again_changes_nothing(empty_shop: SmallShop, api: Api) -> None:
    post(api, TEA)
    before = last_position()

    again = post(api, TEA, TEA | {"query": " TEA, cup!"}, TEA | {"rating": 3.0})

    assert (again["accepted"], again["duplicates"]) == (0, 3)
    assert last_position() == before
    assert api.get(f"/v1/receipts/{again['receipt']}").json()["position"] == before


def test_the_newest_rating_counts_and_older_ones_can_still_be_read(empty_shop: SmallShop, api: Api) -> None:
    post(api, TEA)
    first = judgements_position(shop_id=SHOP_ID)
    post(api, TEA | {"rating": 1})

    post(api, TEA | {"rating": 3, "query": "Tea Cup"})

    assert listed() == {"Tea Cup": {"mug": 3.0}}
    assert listed(first + 1) == {"tea cup": {"mug": 1.0}}
    assert listed(first) == {"tea cup": {"mug": 3.0}}


def test_of_the_judgements_of_one_call_the_last_counts(empty_shop: SmallShop, api: Api) -> None:
    answer = post(api, *(TEA | {"rating": rating} for rating in (0, 1, 2)))

    assert (answer["accepted"], answer["duplicates"]) == (1, 2)
    assert listed() == {"tea cup": {"mug": 2.0}}


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (TEA | {"rating": 4}, "too_large", "rating"),
        (TEA | {"rating": -0.1}, "too_small", "rating"),
        (TEA | {"rating": "3"}, "wrong_type", "rating"),
        (TEA | {"rating": True}, "wrong_type", "rating"),
        (TEA | {"rating": None}, "wrong_type", "rating"),
        (TEA | {"query": ""}, "empty", "query"),
        (TEA | {"query": " ?! "}, "empty", "query"),
        (TEA | {"query": "a" * 1001}, "too_long", "query"),
        (TEA | {"query": "a\0b"}, "bad_format", "query"),
        (TEA | {"product_id": "p" * 201}, "too_long", "product_id"),
        ({"query": "tea", "product_id": "mug"}, "missing_field", "rating"),
        (TEA | {"ratings": 3}, "unknown_field", "ratings"),
        ("tea cup", "not_an_object", None),
    ],
)
def test_a_bad_judgement_is_refused_alone(
    empty_shop: SmallShop, api: Api, given: Any, code: str, field: str | None
) -> None:
    answer = post(api, given, TEA)

    [rejected] = answer["rejected"]
    assert (rejected["index"], rejected["code"], rejected["field"]) == (0, code, field)
    assert answer["accepted"] == 1
    assert listed() == {"tea cup": {"mug": 3.0}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"judgements": []}, "bad_judgments"),
        ({"judgments": {}}, "bad_judgments"),
        ({"judgments": [TEA] * 1001}, "too_many_judgments"),
    ],
)
def test_a_body_of_another_shape_is_refused(empty_shop: SmallShop, api: Api, body: Any, code: str) -> None:
    answer = api.post("/v1/judgments", body)

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, code, "judgments")
    assert scalar("SELECT count(*) FROM eventlog_event") == 0


def test_a_key_for_searching_cannot_judge(empty_shop: SmallShop, api_with: Callable[..., Api]) -> None:
    answer = api_with("search", "events").post("/v1/judgments", {"judgments": [TEA]})

    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_scope")
    assert scalar("SELECT count(*) FROM eventlog_event") == 0
