"""What the storefront page does, with a key like the one that `set_up` makes for it: search, tell, wait, search again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest

from eventlog.database import rows
from tests.cast import Api, SmallShop, drain
from tests.conftest import MakeKey
from workers.management.commands import set_up

PAGE = "https://freshet.example"


@pytest.fixture
def page_key(make_key: MakeKey) -> str:
    made = set_up._STOREFRONT_KEY
    scopes = [value for option, value in pairwise(made) if option == "--scope"]
    return make_key(*scopes, public="--public" in made, allowed_origins=[made[made.index("--origin") + 1]])


def told(key: str, *events: dict[str, Any]) -> Any:
    """What beacon.js sends."""
    body = orjson.dumps({"key": key, "events": events})
    return Api().send("POST", "/v1/events", body, content_type="text/plain", headers={"origin": PAGE})


def test_a_click_on_the_page_is_in_its_next_answer(shop: SmallShop, page_key: str) -> None:
    page = Api(page_key)
    before = page.get("/v1/search", q="shoes", explain="1", facets="brand,category,price").json()
    common = {"occurred_at": "2026-11-23T10:00:00Z", "session_id": "s-1", "ranking_token": before["ranking"]["token"]}
    shown = [item["product_id"] for item in before["items"]]

    seen = {"event_id": "e-1", "kind": "impression", "items": shown} | common
    click = {"event_id": "e-2", "kind": "click", "query": "shoes", "product_id": shown[1], "rank": 2} | common
    receipt = told(page_key, seen, click).json()["receipt"]
    drain()

    assert page.get(f"/v1/receipts/{receipt}", wait="2").json()["visible"] is True
    assert page.get("/v1/search", q="shoes").json()["items"][0]["product_id"] == shown[1]
    assert page.get("/v1/freshness").status_code == 200


def test_what_is_shown_after_show_more_counts_from_its_place(shop: SmallShop, page_key: str) -> None:
    answer = Api(page_key).get("/v1/search", q="shoes").json()
    more = [item["product_id"] for item in answer["items"][2:]]

    told(page_key, {"event_id": "e-1", "kind": "impression", "occurred_at": "2026-11-23T10:00:00Z", "items": more,
                    "ranking_token": answer["ranking"]["token"]})  # fmt: skip

    drain()
    assert rows("SELECT items[1], first_rank FROM feedback_impression") == [(more[0], 3)]
