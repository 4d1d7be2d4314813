"""Odd and hostile input to GET /v1/search and the token calls: a precise problem or a defined result, never a 500."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from eventlog.database import scalar
from tests.cast import Api, SmallShop

ApiWith = Callable[..., Api]
ODD_QUERIES = {
    "emoji": "🙂🙂🎉",
    "family emoji": "👨‍👩‍👧‍👦",
    "punctuation": "!!! ... ---",
    "one letter": "m",
    "right to left": "كوب شاي",
    "direction marks": "\u202emug\u202c \u200f",
    "Hebrew with points": "כּוֹס תֵּה",
    "Chinese": "茶" * 500,
    "Thai": "แก้วกาแฟ",
    "zalgo": "m\u0300\u0301\u0302u\u0316\u0317g\u0330" * 20,
    "SQL": "'; DROP TABLE catalog_product; --",
    "format signs": "%s %(shop)s {0} $1 %%",
    "tsquery": "mug & !tea | (cup <-> saucer):*",
    "HTML": "<script>alert('mug')</script>",
    "path": "../../etc/passwd",
    "NUL": "mug\0tea",
    "controls": "mug\x01\x1b[31m\ntea\t",
    "one long word": "m" * 1000,
    "one long model number": "a1" * 500,
    "hyphens": "-".join("ab" * 165),
    "unknown words": " ".join(f"xqwz{n}" for n in range(120)),
    "numbers": "9" * 400 + " 1e309 -0 NaN",
    "private use": "\ue000\uffff\U0010ffff",
    "ligatures": "ﬁ Ⅷ ㎏ ﷺ",
    "dotted capital": "İSTANBUL ǰ ŉ",
}


@pytest.mark.parametrize("q", ODD_QUERIES.values(), ids=ODD_QUERIES)
def test_an_odd_query_has_an_answer_that_can_be_made_again(shop: SmallShop, api: Api, q: str) -> None:
    answer = api.get("/v1/search", q=q, explain=1, facets="brand,price", sort="relevance")

    assert answer.status_code == 200, answer.json()
    token = answer.json()["ranking"]["token"]
    again = api.get(f"/v1/rankings/{token}").json()
    assert [item["score"] for item in again["items"]] == pytest.approx([i["score"] for i in answer.json()["items"]])


BAD_PARAMETERS: list[tuple[str, str, str]] = [
    # query string, code, field
    ("", "query_empty", "q"),
    ("q=", "query_empty", "q"),
    ("q=%20%09%0a%c2%a0", "query_empty", "q"),
    ("q=%00", "query_empty", "q"),
    ("q=" + "x" * 1001, "query_too_long", "q"),
    ("q=" + quote("茶" * 1001), "query_too_long", "q"),
    ("q=" + quote(" " * 1001 + "mug"), "query_too_long", "q"),
    *(
        (f"q=mug&k={k}", "bad_parameter", "k")
        for k in ("0", "101", "abc", "-1", "1e9", "", "1.5", "٣", "%EF%BC%93", "9" * 400)
    ),
    *((f"q=mug&offset={n}", "bad_parameter", "offset") for n in ("-1", "1001", "1e3", "nan", "99999999999999999999")),
    *((f"q=mug&sort={s}", "bad_parameter", "sort") for s in ("", "cheap", "%2Dnewest", "price,", "PRICE")),
    *((f"q=mug&facets={f}", "bad_parameter", "facets") for f in ("colour", "brand;price", "brand,%00", "*")),
    *((f"q=mug&explain={e}", "bad_parameter", "explain") for e in ("", "yes", "2", "TRUE")),
    *(
        (f"q=mug&filter={f}", "bad_filter", "filter")
        for f in (
            "", ":", "brand", "brand:", ":HP", "price:cheap", "price:nan", "price:NaN..", "price:..nan", "price:inf..",
            "price:1..2..3", "price:..", "price:1e999", "in_stock:maybe", "colour:red", "attributes.:x", "attributes:x",
            "shop_id:2", "brand%00:x", "brand:%00", "p.brand)%20OR%201=1--:x", "title:mug",
        )
    ),
    ("q=mug&brand=HP", "unknown_parameter", "brand"),
    ("q=mug&Q=tea", "unknown_parameter", "Q"),
    ("q=mug&%00=1", "unknown_parameter", "\0"),
    ("q=mug&shop_id=2", "unknown_parameter", "shop_id"),
]  # fmt: skip


@pytest.mark.parametrize(("params", "code", "field"), BAD_PARAMETERS)
def test_a_bad_parameter_is_a_problem_that_names_it(api: Api, params: str, code: str, field: str) -> None:
    answer = api.get(f"/v1/search?{params}")

    assert answer.status_code == 400, answer.content[:200]
    assert answer["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert answer.json()["detail"]


DEFINED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "broken percent-encoding is read as it stands": ("q=mug%zz%", lambda a: a["total"] == 12),
    "broken UTF-8 is replaced": ("q=mug%ff%fe%ed%a0%80", lambda a: a["total"] == 12),
    "of a repeated parameter the last counts": ("q=mug&k=5&k=2", lambda a: len(a["items"]) == 2),
    "of a repeated query the last counts": ("q=&q=mug", lambda a: a["items"][0]["product_id"] == "mug"),
    "a repeated filter widens": ("q=mug&filter=brand:Trevi&filter=brand:Trevi", lambda a: a["total"] == 2),
    "a facet named twice is counted once": ("q=mug&facets=brand,brand,,", lambda a: list(a["facets"]) == ["brand"]),
    "a thousand characters are searched for": ("q=" + "x" * 1000, lambda a: a["total"] == 12),
    "an upside-down price range holds nothing": ("q=mug&filter=price:50..10", lambda a: a["total"] == 0),
    "a negative price range holds nothing": ("q=mug&filter=price:-9..-1", lambda a: a["total"] == 0),
    "SQL in a filter is a value": ("q=mug&filter=brand:x'%20OR%20'1'='1", lambda a: a["total"] == 0),
    "many filters hold together": (
        "q=mug&" + "&".join(f"filter=attributes.a{n}:x" for n in range(200)),
        lambda a: a["total"] == 0,
    ),
    "leading zeros are a number": ("q=mug&k=007", lambda a: len(a["items"]) == 7),
}


@pytest.mark.parametrize(("params", "holds"), DEFINED.values(), ids=DEFINED)
def test_odd_parameters_have_a_defined_result(
    shop: SmallShop, api: Api, params: str, holds: Callable[[Any], bool]
) -> None:
    answer = api.get(f"/v1/search?{params}")

    assert answer.status_code == 200, answer.json()
    assert holds(answer.json())


def test_sql_in_a_query_changes_nothing(shop: SmallShop, api: Api) -> None:
    before = scalar("SELECT count(*) FROM eventlog_event")

    api.get("/v1/search", q="'; DELETE FROM catalog_product; COMMIT; --")

    assert scalar("SELECT count(*) FROM catalog_product") == 12
    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_html_comes_back_as_text(empty_shop: SmallShop, api: Api) -> None:
    title = "<img src=x onerror=alert(1)> 'mug' \"& \u2028"
    empty_shop.offer({"product_id": "<b>1</b>", "title": title, "description": "<p>x", "brand": "a<b"})

    item = api.get("/v1/search", q="mug").json()["items"][0]

    assert (item["product_id"], item["title"], item["brand"]) == ("<b>1</b>", title, "a<b")


ENDLESS = "".join(f"{n * n:x}" for n in range(1000, 3000))  # one word that does not compress
HOSTILE_TITLES = {
    "a word without end": ENDLESS,
    "emoji": "🙂",
    "punctuation": "!!!",
    "right to left": "كوب شاي",
    "backslashes": "\\N \\. \t tab",
}


@pytest.mark.parametrize("title", HOSTILE_TITLES.values(), ids=HOSTILE_TITLES)
def test_a_product_with_an_odd_title_is_indexed_beside_the_others(shop: SmallShop, api: Api, title: str) -> None:
    shop.offer(
        {"product_id": "odd", "title": title[:500], "description": f"{ENDLESS} " + "q" * 6000},
        {"product_id": "plain", "title": "Marmalade"},
    )

    found = {item["product_id"] for item in api.get("/v1/search", q="marmalade", k=100).json()["items"]}

    assert {"odd", "plain"} <= found
    assert scalar("SELECT count(*) FROM eventlog_parked") == 0


@pytest.mark.parametrize("path", ["/v1/search?q=mug", "/v1/rankings/x", "/v1/weights?product_id=mug", "/v1/models"])
def test_without_a_key_or_with_a_made_up_one_nobody_is_let_in(uninvited: Api, path: str) -> None:
    assert uninvited.get(path).json()["status"] == 401
    assert Api("made.up").get(path).json()["status"] == 401
    assert Api("\x7f💥").get(path).json()["status"] == 401


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("events", "GET", "/v1/search?q=mug"),
        ("catalog", "GET", "/v1/rankings/x"),
        ("events", "POST", "/v1/rankings"),
        ("search", "PUT", "/v1/weights"),
        ("search", "GET", "/v1/weights?product_id=mug"),
        ("search", "GET", "/v1/models"),
        ("catalog", "POST", "/v1/models/1.0/promote"),
        ("events", "POST", "/v1/models/rollback"),
        ("catalog", "GET", "/v1/freshness"),
    ],
)
def test_a_key_of_another_scope_is_refused(api_with: ApiWith, scope: str, method: str, path: str) -> None:
    answer = api_with(scope).send(method, path, {} if method != "GET" else None)

    assert answer.status_code == 403, answer.content
    assert answer.json()["code"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_search_is_only_for_reading(api: Api, method: str) -> None:
    assert api.send(method, "/v1/search?q=mug", {}).status_code == 405


TOKENS = ["x", "a:b:c", "%00", "蓝牙", "." * 5000, "eyJhIjoxfQ:1abc:xyz", "%ff", "'; --"]


@pytest.mark.parametrize("token", TOKENS)
def test_a_made_up_token_is_refused(api: Api, token: str) -> None:
    answer = api.get(f"/v1/rankings/{token}")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_token")


@pytest.mark.parametrize(
    "body", [{}, [], None, "text", {"token": None}, {"token": 7}, {"token": ["x"]}, {"token": ""}, {"token": "x\0"}]
)
def test_a_body_without_a_token_is_refused(api: Api, body: Any) -> None:
    answer = api.post("/v1/rankings", body)

    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] in ("bad_token", "not_an_object", "bad_json")
