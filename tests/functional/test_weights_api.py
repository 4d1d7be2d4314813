"""PUT and GET /v1/weights: the factor r that operators set, and what the three factors are now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventlog.database import rows, scalar
from tests.cast import Api, Shopper, SmallShop, drain


def put(api: Api, *weights: dict[str, Any]) -> Any:
    answer = api.put("/v1/weights", {"weights": list(weights)})
    drain()
    return answer


def operator(api: Api, q: str, product_id: str = "mug") -> float:
    items = api.get("/v1/search", q=q, k=100, explain=1).json()["items"]
    return float(next(i for i in items if i["product_id"] == product_id)["explanation"]["weight"]["operator"])


def test_a_weight_counts_at_the_next_search_for_every_query(shop: SmallShop, api: Api) -> None:
    answer = put(api, {"product_id": "mug", "weight": 2.5})

    assert answer.status_code == 200
    assert answer.json() | {"receipt": ""} == {"accepted": 1, "duplicates": 0, "rejected": [], "receipt": ""}
    assert operator(api, "mug") == operator(api, "raincoat") == 2.5
    assert operator(api, "mug", "beaker") == 1.0


def test_a_receipt_tells_when_a_weight_is_in_the_rankings(shop: SmallShop, api: Api) -> None:
    receipt = api.put("/v1/weights", {"weights": [{"product_id": "mug", "weight": 2}]}).json()["receipt"]

    before = api.get(f"/v1/receipts/{receipt}").json()["visible"]
    drain()

    assert not before
    assert api.get(f"/v1/receipts/{receipt}").json()["visible"]


def test_a_weight_for_a_query_counts_for_this_query_only_and_before_the_general_one(shop: SmallShop, api: Api) -> None:
    put(api, {"product_id": "mug", "weight": 3}, {"product_id": "mug", "query": "Tea, cup!", "weight": 0.5})

    assert operator(api, "tea cup") == operator(api, "TEA  CUP") == 0.5
    assert operator(api, "cup") == 3


@pytest.mark.parametrize(("hours", "weight"), [(-1, 1.0), (1, 7.0)])
def test_a_weight_ends_at_its_date(shop: SmallShop, api: Api, hours: int, weight: float) -> None:
    until = datetime.now(UTC) + timedelta(hours=hours)

    put(api, {"product_id": "mug", "weight": 7, "until": until.isoformat()})

    assert operator(api, "cup") == weight
    assert api.get("/v1/weights", product_id="mug").json()["operator"] == weight


def test_a_weight_for_a_query_that_ended_gives_way_to_the_general_one(shop: SmallShop, api: Api) -> None:
    put(
        api,
        {"product_id": "mug", "weight": 3},
        {"product_id": "mug", "query": "cup", "weight": 9, "until": "2020-01-01T00:00:00Z"},
    )

    assert operator(api, "cup") == 3


@pytest.mark.parametrize(
    "until", ["2090-01-01T00:00:00+23:59", "2090-06-01T12:00:00-23:59", "9999-12-31T23:59:59Z", "2090-01-01T00:00Z"]
)
def test_an_end_date_of_any_time_zone_is_understood(shop: SmallShop, api: Api, until: str) -> None:
    answer = put(api, {"product_id": "mug", "weight": 7, "until": until})

    assert answer.json()["accepted"] == 1
    assert operator(api, "cup") == 7
    assert scalar("SELECT count(*) FROM eventlog_parked") == 0


def test_a_weight_of_zero_puts_a_product_last_and_one_brings_it_back(shop: SmallShop, api: Api) -> None:
    before = api.get("/v1/search", q="stoneware mug", k=100).json()["items"]

    put(api, {"product_id": "mug", "weight": 0})
    buried = api.get("/v1/search", q="stoneware mug", k=100).json()["items"]
    put(api, {"product_id": "mug", "weight": 1})
    after = api.get("/v1/search", q="stoneware mug", k=100).json()["items"]

    assert (buried[-1]["product_id"], buried[-1]["score"]) == ("mug", 0.0)
    assert [(i["product_id"], i["score"]) for i in after] == [(i["product_id"], i["score"]) for i in before]


def test_of_the_weights_of_one_call_the_last_counts(shop: SmallShop, api: Api) -> None:
    weights = [{"product_id": "mug", "query": "cup", "weight": weight} for weight in (2, 3, 9, 4)]

    answer = put(api, *weights).json()

    assert (answer["accepted"], answer["duplicates"]) == (1, 3)
    assert operator(api, "cup") == 4


def test_a_weight_of_a_product_that_is_not_there_yet_waits_for_it(shop: SmallShop, api: Api) -> None:
    put(api, {"product_id": "samovar", "weight": 5})

    shop.offer({"product_id": "samovar", "title": "Samovar"})

    assert operator(api, "samovar", "samovar") == 5


def test_the_three_factors_of_a_product_for_a_query_are_those_of_the_search(
    shop: SmallShop, api: Api, alice: Shopper
) -> None:
    shop.clock.now = datetime.now(UTC)
    shop.record(*(alice.clicks("mug", query="tea cup") for _ in range(3)), *(alice.clicks("mug", query="cup"),))
    put(api, {"product_id": "mug", "weight": 1.5})

    told = api.get("/v1/weights", product_id="mug", query="tea cup").json()

    item = api.get("/v1/search", q="tea cup", explain=1).json()["items"][0]
    assert item["product_id"] == "mug"
    assert told["weight"] == pytest.approx(item["weight"], rel=1e-4)
    for name, value in item["explanation"]["weight"].items():
        assert told[name] == pytest.approx(value, rel=1e-4)
    assert told["evidence"]["query_reward"] == pytest.approx(3, rel=1e-3)
    assert told["weight"] == told["global"] * told["query"] * told["operator"]


def test_without_a_query_the_factors_are_those_of_every_query(shop: SmallShop, api: Api, alice: Shopper) -> None:
    shop.clock.now = datetime.now(UTC)
    shop.record(*(alice.clicks("mug", query=f"query {n}") for n in range(5)))

    told = api.get("/v1/weights", product_id="mug").json()

    assert told["global"] > 1.0
    assert (told["query"], told["operator"]) == (1.0, 1.0)
    assert told["evidence"]["product_reward"] == pytest.approx(5, rel=1e-3)
    assert api.get("/v1/weights", product_id="beaker").json()["global"] < 1.0


def test_a_product_nobody_knows_has_weight_one(shop: SmallShop, api: Api) -> None:
    told = api.get("/v1/weights", product_id="nothing").json()

    assert (told["global"], told["query"], told["operator"], told["weight"]) == (1.0, 1.0, 1.0, 1.0)


def test_a_product_that_a_query_does_not_find_has_no_weight_for_it(shop: SmallShop, api: Api) -> None:
    shop.retire("mug")

    for product_id in ("nothing", "mug"):
        answer = api.get("/v1/weights", product_id=product_id, query="tea")
        assert (answer.status_code, answer.json()["code"]) == (404, "product_not_ranked")


@pytest.mark.parametrize(
    ("params", "code", "field"),
    [
        ("", "missing_field", "product_id"),
        ("product_id=", "missing_field", "product_id"),
        ("product_id=%00", "missing_field", "product_id"),
        ("product_id=mug&query=", "query_empty", "q"),
        ("product_id=mug&query=%20%00", "query_empty", "q"),
        ("product_id=mug&query=" + "x" * 1001, "query_too_long", "q"),
        ("product_id=mug&q=tea", "unknown_parameter", "q"),
    ],
)
def test_a_bad_question_is_a_problem(api: Api, params: str, code: str, field: str) -> None:
    answer = api.get(f"/v1/weights?{params}")

    assert answer.status_code == 400
    assert (answer.json()["code"], answer.json()["field"].replace("query", "q")) == (code, field)


GOOD = {"product_id": "mug", "weight": 1}
NO_IDS: list[Any] = ["", "x" * 201, "a\0b", 7, None, ["mug"]]
NO_WEIGHTS: list[Any] = [-1, 100.5, 1e300, None, "heavy", [], {}, -1e-9, "NaN", "inf"]
NO_QUERIES: list[Any] = ["x" * 1001, 7, [], "", "   ", "\0", "\u200b\t", "!?"]
NO_DATES: list[Any] = [
    "soon", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "", [], True, 1e308, "0001-01-01T00:00:00+01:00",
]  # fmt: skip
BAD_ITEMS: list[tuple[Any, str | None]] = [
    # item, field
    ({}, "product_id"),
    ({"product_id": "mug"}, "weight"),
    ({"weight": 1}, "product_id"),
    *((GOOD | {"product_id": bad}, "product_id") for bad in NO_IDS),
    *((GOOD | {"weight": bad}, "weight") for bad in NO_WEIGHTS),
    *((GOOD | {"query": bad}, "query") for bad in NO_QUERIES),
    *((GOOD | {"until": bad}, "until") for bad in NO_DATES),
    (GOOD | {"wieght": 1}, "wieght"),
    ("mug", None), (None, None), ([], None), (7, None),
]  # fmt: skip


@pytest.mark.parametrize(("item", "field"), BAD_ITEMS)
def test_a_bad_weight_is_refused_alone(shop: SmallShop, api: Api, item: Any, field: str | None) -> None:
    answer = api.put("/v1/weights", {"weights": [GOOD, item, GOOD | {"product_id": "beaker"}]})

    assert answer.status_code == 200, answer.content
    assert answer.json()["accepted"] == 2
    (refused,) = answer.json()["rejected"]
    assert (refused["index"], refused["field"]) == (1, field)
    assert refused["code"]
    assert refused["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {}, [], "weights", None, 7, {"weights": None}, {"weights": {}}, {"weights": "x"}, {"weights": [GOOD], "more": 1},
        {"weight": [GOOD]}, {"weights": [GOOD] * 1001}, [GOOD],
    ],
)  # fmt: skip
def test_a_body_of_another_shape_is_refused_and_nothing_is_written(api: Api, body: Any) -> None:
    answer = api.put("/v1/weights", body)

    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] in ("bad_weights", "not_an_object", "bad_json")
    assert scalar("SELECT count(*) FROM eventlog_event") == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"weights": [', b"\xff\xfe", b'{"weights": [{"product_id": "mug", "weight": NaN}]}',
        b'{"weights": [{"product_id": "\\ud800", "weight": 1}]}', b"[" * 100_000,
        b'{"weights": [{"product_id": "mug", "weight": Infinity}]}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_json_is_refused_and_nothing_is_written(api: Api, body: bytes) -> None:
    answer = api.send("PUT", "/v1/weights", body)

    assert answer.status_code == 400, answer.content
    assert answer["content-type"] == "application/problem+json"
    assert scalar("SELECT count(*) FROM eventlog_event") == 0


@pytest.mark.parametrize("weight", ["1e999", "-1e999", "1e-999"])
def test_a_number_beyond_all_bounds_is_no_weight_of_its_own(shop: SmallShop, api: Api, weight: str) -> None:
    body = f'{{"weights": [{{"product_id": "mug", "weight": {weight}}}]}}'.encode()

    answer = api.send("PUT", "/v1/weights", body)
    drain()

    assert answer.status_code in (200, 400)
    assert all(0 <= each <= 100 for (each,) in rows("SELECT weight FROM ranking_operatorweight"))


def test_no_weights_are_set_by_an_empty_list(api: Api) -> None:
    answer = put(api)

    assert answer.json()["accepted"] == 0
    assert scalar("SELECT count(*) FROM eventlog_event") == 0
