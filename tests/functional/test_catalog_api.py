"""The catalogue over HTTP, as a shop's server uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from eventlog.database import scalar
from tests.cast import PRODUCTS, Api, SmallShop, drain

MUG = "/v1/products/mug"


def described(api: Api, path: str = MUG) -> tuple[str, str]:
    answer = api.get(path)
    return answer.headers["ETag"], answer.json()["title"]


def test_products_go_in_and_every_item_is_answered(api: Api) -> None:
    answer = api.post("/v1/products", {"products": [*PRODUCTS, PRODUCTS[0], {"product_id": "x", "titel": "X"}]})

    assert answer.status_code == 200
    body = answer.json()
    assert (body["accepted"], body["duplicates"]) == (12, 1)
    assert body["rejected"] == [
        {
            "index": 13,
            "code": "unknown_field",
            "field": "titel",
            "detail": "There is no field 'titel'; did you mean 'title'? (also wrong: title)",
        }
    ]


def test_a_product_can_be_read_the_moment_it_was_accepted(api: Api) -> None:
    api.post("/v1/products", {"products": PRODUCTS})
    before = api.get(MUG).json()

    drain()

    assert before["price"] == 14.5
    assert api.get(MUG).json() == before


@pytest.mark.parametrize(
    "product_id", ["a/b", "a b", ".", "茶杯", "50%", "a?b#c", "a/", "%2F", "a\\b", "é", "🎉", "<b>"]
)
def test_an_id_may_hold_anything(api: Api, product_id: str) -> None:
    path = f"/v1/products/{quote(product_id, safe='')}"
    api.post("/v1/products", {"products": [{"product_id": product_id, "title": "Anything"}]})

    assert api.get(path).json()["product_id"] == product_id
    revised = api.post(f"{path}/descriptions", {"title": "Other"}, headers={"If-Match": '"1"'})
    assert revised.json()["description_version"] == 2
    assert api.post(f"{path}/descriptions/1/restore").json()["description_version"] == 3
    assert api.delete(path).status_code == 200
    assert api.get(path).json()["retired_at"]


def test_a_description_is_revised_and_restored(shop: SmallShop, api: Api) -> None:
    assert described(api) == ('"1"', "Stoneware mug")

    answer = api.post(f"{MUG}/descriptions", {"title": "Blue mug"}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"2"')
    assert described(api) == ('"2"', "Blue mug")

    assert api.post(f"{MUG}/descriptions/1/restore").status_code == 201
    assert described(api) == ('"3"', "Stoneware mug")
    versions = api.get(f"{MUG}/descriptions").json()["versions"]
    assert [(each["version"], each["origin"], each["restored_from"]) for each in versions] == [
        (3, "restore", 1),
        (2, "api", None),
        (1, "api", None),
    ]


def test_saying_the_same_again_makes_no_version(shop: SmallShop, api: Api) -> None:
    answer = api.post(f"{MUG}/descriptions", {"title": "Stoneware mug"}, headers={"If-Match": "*"})

    assert (answer.status_code, answer.json()["changed"], answer.headers["ETag"]) == (200, False, '"1"')
    assert api.post(f"{MUG}/descriptions/1/restore").status_code == 200


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 428, "precondition_required"),
        ('"2"', 412, "concurrent_change"),
        ("yesterday", 400, "bad_if_match"),
        ('"1", "2"', 400, "bad_if_match"),
        ('"-1"', 400, "bad_if_match"),
    ],
)
def test_a_revision_needs_the_version_it_started_from(
    shop: SmallShop, api: Api, header: str | None, status: int, code: str
) -> None:
    headers = {"If-Match": header} if header else {}
    answer = api.post(f"{MUG}/descriptions", {"title": "Blue mug"}, headers=headers)

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (status, code, "If-Match")
    assert described(api) == ('"1"', "Stoneware mug")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/products/nobody", None, 404, "product_not_found"),
        ("GET", "/v1/products/%00", None, 404, "product_not_found"),
        ("GET", "/v1/products/%ff", None, 404, "product_not_found"),
        ("GET", "/v1/products/nobody/descriptions", None, 404, "product_not_found"),
        ("DELETE", "/v1/products/nobody", None, 404, "product_not_found"),
        ("POST", "/v1/products/nobody/descriptions", {"title": "x"}, 404, "product_not_found"),
        ("POST", f"{MUG}/descriptions", {"price": 1}, 400, "bad_description"),
        ("POST", f"{MUG}/descriptions", {"title": None}, 400, "bad_description"),
        (
            "POST",
            f"{MUG}/descriptions",
            {"title": "\ud800x".encode(errors="replace").decode() + "\x00"},
            400,
            "bad_description",
        ),
        ("POST", f"{MUG}/descriptions", [], 400, "not_an_object"),
        ("POST", f"{MUG}/descriptions/9/restore", None, 404, "description_version_not_found"),
        ("POST", f"{MUG}/descriptions/0/restore", None, 404, "description_version_not_found"),
        ("POST", f"{MUG}/descriptions/{10**30}/restore", None, 404, "description_version_not_found"),
        ("POST", "/v1/products", {"product": []}, 400, "bad_body"),
        ("POST", "/v1/products", {"products": {}}, 400, "bad_body"),
        ("POST", "/v1/products", {"products": [], "dry_run": True}, 400, "bad_body"),
        ("POST", "/v1/products", {"products": [{}] * 1001}, 400, "too_many_products"),
        ("POST", "/v1/products", b'{"products": [{"product_id": "a", "title": "A", "price": NaN}]}', 400, "bad_json"),
        ("POST", "/v1/products", b'{"products": [{"product_id": "a", "title": "\\ud800"}]}', 400, "bad_json"),
        ("POST", "/v1/products", b'{"products": [', 400, "bad_json"),
        ("PUT", "/v1/products", {"products": []}, 405, "method_not_allowed"),
    ],
)
def test_a_wrong_call_is_answered_precisely_and_writes_nothing(
    shop: SmallShop, api: Api, method: str, path: str, body: Any, status: int, code: str
) -> None:
    before = scalar("SELECT count(*) FROM eventlog_event")
    answer = api.send(method, path, body, headers={"If-Match": "*"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert scalar("SELECT count(*) FROM eventlog_event") == before


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"price": -3}, "too_small", "price"),
        ({"price": 1e300}, "too_large", "price"),
        ({"title": "a\x00b"}, "bad_text", "title"),
        ({"title": "x" * 2000}, "too_long", "title"),
        ({"released_at": "soon"}, "bad_time", "released_at"),
        ({"image_url": "data:text/html,<b>"}, "bad_url", "image_url"),
        ({"attributes": {"a": {"b": {"c": 1}}}}, "too_deep", "attributes"),
        ({"colour": "red"}, "unknown_field", "colour"),
    ],
)
def test_a_bad_product_is_refused_alone(api: Api, fields: dict[str, Any], code: str, field: str) -> None:
    good = {"product_id": "good", "title": "Good"}
    answer = api.post("/v1/products", {"products": [{"product_id": "bad", "title": "Bad"} | fields, good]}).json()

    assert (answer["accepted"], answer["rejected"][0]["code"], answer["rejected"][0]["field"]) == (1, code, field)
    assert api.get("/v1/products/bad").status_code == 404
    assert api.get("/v1/products/good").status_code == 200


def test_a_retired_product_is_history(shop: SmallShop, api: Api) -> None:
    assert api.delete(MUG).status_code == 200
    assert api.delete(MUG).status_code == 200

    assert api.post("/v1/products", {"products": PRODUCTS[:1]}).json()["rejected"][0]["code"] == "product_retired"
    revised = api.post(f"{MUG}/descriptions", {"title": "x"}, headers={"If-Match": "*"})
    assert (revised.status_code, revised.json()["code"]) == (409, "product_retired")
    assert len(api.get(f"{MUG}/descriptions").json()["versions"]) == 1


def test_the_receipt_of_a_product_can_be_followed(shop: SmallShop, api: Api) -> None:
    receipt = api.post("/v1/products", {"products": [PRODUCTS[0] | {"price": 1}]}).json()["receipt"]
    assert api.get(f"/v1/receipts/{receipt}").json()["visible"] is False

    drain()
    assert api.get(f"/v1/receipts/{receipt}").json()["visible"] is True


def test_the_catalogue_needs_its_scope(shop: SmallShop, api_with: Callable[..., Api]) -> None:
    searcher = api_with("search")

    assert searcher.post("/v1/products", {"products": []}).status_code == 403
    assert searcher.get(MUG).status_code == 403
    assert api_with("catalog").get(MUG).status_code == 200
