"""POST /v1/events and GET /v1/receipts/{receipt}: batches, beacons, scopes, and bad input, which is told and never a 500."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from eventlog.database import rows, scalar
from tests.cast import Api, Shopper, SmallShop, drain

CLICK = {"event_id": "e-1", "kind": "click", "occurred_at": "2020-01-01T10:00:00Z", "product_id": "mug"}
SEEN = {"event_id": "e-2", "kind": "impression", "occurred_at": "2020-01-01T10:00:00Z", "items": ["mug"]}
ApiWith = Callable[..., Api]


def stored() -> int:
    return int(scalar("SELECT count(*) FROM eventlog_event"))


def test_a_batch_is_answered_item_by_item(api: Api, alice: Shopper) -> None:
    click, bad = alice.clicks("mug"), alice.clicks("mug", rank=0)

    answer = api.post("/v1/events", {"events": [click, click, bad]})

    assert answer.status_code == 200
    assert answer.json() | {"receipt": ""} == {
        "accepted": 1,
        "duplicates": 1,
        "rejected": [
            {
                "index": 2,
                "code": "bad_rank",
                "field": "rank",
                "detail": "Input should be greater than or equal to 1.",
            }
        ],
        "receipt": "",
    }


def test_a_receipt_tells_when_the_events_are_in_the_rankings(api: Api, alice: Shopper) -> None:
    receipt = api.post("/v1/events", {"events": [alice.clicks("mug")]}).json()["receipt"]

    before = api.get(f"/v1/receipts/{receipt}").json()
    drain()
    after = api.get(f"/v1/receipts/{receipt}", wait="2").json()

    assert (before["visible"], before["position"]) == (False, None)
    assert (after["visible"], after["position"]) == (True, 1)


@pytest.mark.parametrize("wait", ["-1", "11", "soon", "nan", "inf"])
def test_a_wait_that_is_none_is_refused(api: Api, wait: str) -> None:
    receipt = api.post("/v1/events", {"events": []}).json()["receipt"]

    answer = api.get(f"/v1/receipts/{receipt}", wait=wait)

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "bad_wait", "wait")


@pytest.mark.parametrize("receipt", ["x", "WzEsMV0:forged", "%00", "蓝牙"])
def test_a_made_up_receipt_is_refused(api: Api, receipt: str) -> None:
    answer = api.get(f"/v1/receipts/{receipt}")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_receipt")


def test_a_beacon_sends_plain_text_with_its_key_in_the_body(
    api_with: ApiWith, uninvited: Api, make_key: Callable[..., str]
) -> None:
    key = make_key("beacon", allowed_origins=["https://shop.example"])
    body = orjson.dumps({"key": key, "events": [CLICK]})

    def beacon(origin: str) -> Any:
        return uninvited.send("POST", "/v1/events", body, content_type="text/plain", headers={"origin": origin})

    elsewhere, there = beacon("https://elsewhere.example"), beacon("https://shop.example")

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "wrong_origin")
    assert (there.status_code, there.json()["accepted"]) == (200, 1)


@pytest.mark.parametrize("scope", ["search", "catalog"])
def test_another_scope_may_not_send_events(api_with: ApiWith, scope: str) -> None:
    answer = api_with(scope).post("/v1/events", {"events": [CLICK]})

    assert (answer.status_code, answer.json()["code"], stored()) == (403, "wrong_scope", 0)


def test_without_a_key_nothing_is_taken(uninvited: Api) -> None:
    answer = uninvited.post("/v1/events", {"events": [CLICK]})

    assert (answer.status_code, stored()) == (401, 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_body"),
        (b"{", "bad_json"),
        (b'{"events": [{"price": NaN}]}', "bad_json"),
        (b"[]", "not_an_object"),
        ({}, "bad_body"),
        ({"events": None}, "bad_body"),
        ({"events": {}}, "bad_body"),
        ({"event": []}, "bad_body"),
        ({"events": [], "shop": 2}, "bad_body"),
        ({"events": [CLICK] * 1001}, "too_many_events"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_bad_body_is_refused_whole(api: Api, body: Any, code: str) -> None:
    answer = api.post("/v1/events", body)

    assert (answer.status_code, answer.json()["code"], stored()) == (400, code, 0)


def test_a_body_of_ten_megabytes_is_refused(api: Api) -> None:
    answer = api.post("/v1/events", b'{"events": ["' + b"x" * 10_000_000 + b'"]}')

    assert (answer.status_code, answer.json()["code"], stored()) == (413, "body_too_large", 0)


BAD = {
    "not an object": (7, "not_an_object", None),
    "a list": ([CLICK], "not_an_object", None),
    "null": (None, "not_an_object", None),
    "no kind": ({"event_id": "e"}, "missing_field", "kind"),
    "a kind nobody knows": (CLICK | {"kind": "clik"}, "bad_kind", "kind"),
    "a kind that is no text": (CLICK | {"kind": ["click"]}, "bad_kind", "kind"),
    "no id": ({k: v for k, v in CLICK.items() if k != "event_id"}, "missing_field", "event_id"),
    "an empty id": (CLICK | {"event_id": ""}, "empty", "event_id"),
    "a long id": (CLICK | {"event_id": "x" * 201}, "too_long", "event_id"),
    "a number as id": (CLICK | {"event_id": 7}, "wrong_type", "event_id"),
    "no product": ({k: v for k, v in CLICK.items() if k != "product_id"}, "missing_field", "product_id"),
    "a misspelt field": (CLICK | {"produkt_id": "mug"}, "unknown_field", "produkt_id"),
    "a field of another kind": (SEEN | {"price": 1.0}, "unknown_field", "price"),
    "nothing shown": (SEEN | {"items": []}, "empty", "items"),
    "too much shown": (SEEN | {"items": ["mug"] * 201}, "too_many_items", "items"),
    "no product among the items": (SEEN | {"items": ["mug", None]}, "wrong_type", "items.1"),
    "no time": (CLICK | {"occurred_at": "yesterday"}, "bad_time", "occurred_at"),
    "a time without zone": (CLICK | {"occurred_at": "2026-01-01T00:00:00"}, "bad_time", "occurred_at"),
    "a number as time": (CLICK | {"occurred_at": 1_767_225_600}, "bad_time", "occurred_at"),
    "a time before 1970": (CLICK | {"occurred_at": "1969-12-31T23:59:59Z"}, "bad_time", "occurred_at"),
    "a time beyond the calendar": (CLICK | {"occurred_at": "9999-12-31T23:59:59-01:00"}, "bad_time", "occurred_at"),
    "rank 0": (CLICK | {"rank": 0}, "bad_rank", "rank"),
    "rank as text": (CLICK | {"rank": "1"}, "bad_rank", "rank"),
    "rank true": (CLICK | {"rank": True}, "bad_rank", "rank"),
    "half a rank": (CLICK | {"rank": 1.5}, "bad_rank", "rank"),
    "a rank beyond all lists": (CLICK | {"rank": 2**63}, "bad_rank", "rank"),
    "a negative price": (CLICK | {"price": -0.01}, "too_small", "price"),
    "an endless price": (CLICK | {"price": 1e300}, "too_large", "price"),
    "no quantity": (CLICK | {"quantity": 0}, "too_small", "quantity"),
    "a long query": (CLICK | {"query": "q" * 1001}, "query_too_long", "query"),
    "NUL in a product": (CLICK | {"product_id": "m\0g"}, "bad_text", "product_id"),
    "NUL in a query": (CLICK | {"query": "\0"}, "bad_text", "query"),
    "NUL in an id": (CLICK | {"event_id": "\0"}, "bad_text", "event_id"),
    "NUL among the items": (SEEN | {"items": ["\0"]}, "bad_text", "items.0"),
    "a token that is none": (CLICK | {"ranking_token": "a:b"}, "bad_token", "ranking_token"),
    "an endless token": (CLICK | {"ranking_token": "x" * 10_000}, "bad_token", "ranking_token"),
}


@pytest.mark.parametrize(("event", "code", "field"), BAD.values(), ids=BAD.keys())
def test_a_bad_event_is_told_what_is_wrong(api: Api, event: Any, code: str, field: str | None) -> None:
    answer = api.post("/v1/events", {"events": [event, CLICK | {"event_id": "good"}]})

    assert answer.status_code == 200
    [rejected] = answer.json()["rejected"]
    assert (rejected["index"], rejected["code"], rejected["field"]) == (0, code, field)
    assert rejected["detail"].endswith((".", "'", "?"))
    assert (answer.json()["accepted"], stored()) == (1, 1)


@pytest.mark.parametrize("where", ["product_id", "event_id", "query", "shopper_id", "session_id"])
@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE eventlog_event;--",
        "<script>alert(1)</script>",
        "🛍️👩‍👩‍👧",
        "سماعة بلوتوث",
        "蓝牙音箱",
        "%s %(x)s",
        "\\u0000",
        "\u202e",
    ],
)
def test_any_text_is_only_text(api: Api, where: str, text: str) -> None:
    answer = api.post("/v1/events", {"events": [CLICK | {where: text}]})
    drain()

    assert answer.json()["accepted"] == 1
    assert stored() == 1
    if where == "product_id":
        assert rows("SELECT product_id FROM feedback_interaction") == [(text,)]


@pytest.mark.parametrize(
    "occurred_at", ["1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z", "2026-02-28T23:59:59.999999+14:00"]
)
def test_a_clock_years_off_is_taken_and_never_counts_from_the_future(
    api: Api, occurred_at: str, empty_shop: SmallShop
) -> None:
    answer = api.post("/v1/events", {"events": [CLICK | {"occurred_at": occurred_at}]})
    drain()

    assert answer.json()["accepted"] == 1
    assert scalar("SELECT at <= clock_timestamp() FROM feedback_interaction")


def test_not_even_a_python_caller_can_send_what_cannot_be_kept(empty_shop: SmallShop) -> None:
    result = empty_shop.record(
        CLICK | {"price": math.nan},
        CLICK | {"price": math.inf},
        CLICK | {"product_id": "\ud800"},
        CLICK | {"\ud800": 1},
        CLICK | {"rank": 10**30},
    )

    assert [each.code for each in result.rejected] == ["not_finite", "not_finite", "bad_text", "bad_text", "bad_rank"]
    assert stored() == 0
