"""Rules over REST: what operators pin, boost and hide, and what a search makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventlog.database import scalar
from tests.cast import PRODUCTS, Api, SmallShop, drain

QUERY = "cup of tea"


def put(api: Api, *rules: dict[str, Any]) -> Any:
    answer = api.put("/v1/rules", {"rules": list(rules)})
    drain()
    return answer.json()


def search(api: Api, q: str = QUERY, **more: Any) -> Any:
    return api.get("/v1/search", q=q, **({"k": 100, "explain": 1} | more)).json()


def ids(answer: Any) -> list[str]:
    return [item["product_id"] for item in answer["items"]]


def moves(answer: Any, product_id: str) -> list[dict[str, Any]]:
    item = next(item for item in answer["items"] if item["product_id"] == product_id)
    found: list[dict[str, Any]] = item["explanation"]["rules"]
    return found


def events() -> int:
    return int(scalar("SELECT count(*) FROM eventlog_event"))


def test_a_pinned_product_has_its_rank_in_the_next_search_and_says_why(shop: SmallShop, api: Api) -> None:
    before = search(api)

    done = put(api, {"id": "top", "kind": "pin", "rank": 2, "product_id": "raincoat"})
    after = search(api)

    assert (done["accepted"], done["duplicates"], done["rejected"]) == (1, 0, [])
    assert ids(after)[1] == "raincoat"
    assert [each for each in ids(after) if each != "raincoat"] == [each for each in ids(before) if each != "raincoat"]
    assert moves(after, "raincoat") == [{"id": "top", "kind": "pin", "rank": 2}]
    assert all(item["rank"] == n for n, item in enumerate(after["items"], start=1))


def test_a_boost_is_a_part_of_the_weight(shop: SmallShop, api: Api) -> None:
    before = {item["product_id"]: item for item in search(api)["items"]}
    api.put("/v1/weights", {"weights": [{"product_id": "mug", "weight": 1.5}]})

    put(api, {"id": "potter", "kind": "boost", "factor": 2, "brand": "Tonwerk"},
        {"id": "cups", "kind": "boost", "factor": 0.5, "category": ["Kitchen"]})  # fmt: skip
    after = {item["product_id"]: item for item in search(api)["items"]}

    assert after["mug"]["explanation"]["weight"]["operator"] == 1.5 * 2 * 0.5
    assert after["kettle"]["explanation"]["weight"]["operator"] == 0.5
    assert after["mug"]["score"] == after["mug"]["relevance"] * after["mug"]["weight"]
    assert after["mug"]["relevance"] == before["mug"]["relevance"]
    assert api.get("/v1/weights", product_id="kettle").json()["operator"] == 0.5
    assert api.get("/v1/weights", product_id="kettle", query=QUERY).json()["operator"] == 0.5


def test_what_is_hidden_is_neither_listed_nor_counted(shop: SmallShop, api: Api) -> None:
    put(api, {"id": "gone", "kind": "hide", "category": ["Kitchen", "Cups"]})

    answer = search(api, facets="brand,category")

    assert ("mug" in ids(answer), "beaker" in ids(answer)) == (False, True)
    assert answer["total"] == len(PRODUCTS) - 1
    brands = {each["value"]: each["count"] for each in answer["facets"]["brand"]}
    assert brands["Tonwerk"] == 1
    assert {each["value"]: each["count"] for each in answer["facets"]["category"]}["Cups"] == 1


def test_a_rule_for_a_query_counts_for_all_its_spellings_and_no_other(shop: SmallShop, api: Api) -> None:
    put(api, {"id": "tea", "kind": "pin", "rank": 1, "product_id": "novel", "query": "Cup of  TEA!"})

    assert ids(search(api, "cup of tea"))[0] == "novel"
    assert ids(search(api, "tea cup"))[0] != "novel"


def test_a_rule_for_another_surface_changes_no_search(shop: SmallShop, api: Api) -> None:
    before = ids(search(api))

    put(api, {"id": "home", "kind": "hide", "product_id": "mug", "surfaces": ["home", "basket"]})

    assert ids(search(api)) == before


@pytest.mark.parametrize(
    ("starts", "ends", "state"), [(-2, 2, "in_force"), (1, 2, "scheduled"), (-2, -1, "over"), (None, 1, "in_force")]
)
def test_a_rule_counts_between_its_dates(shop: SmallShop, api: Api, starts: int | None, ends: int, state: str) -> None:
    now = datetime.now(UTC)
    dates = {"ends_at": (now + timedelta(hours=ends)).isoformat()}
    if starts is not None:
        dates["starts_at"] = (now + timedelta(hours=starts)).isoformat()

    put(api, {"id": "sale", "kind": "hide", "product_id": "mug", **dates})

    assert ("mug" in ids(search(api))) == (state != "in_force")
    assert api.get("/v1/rules").json()["rules"][0]["state"] == state


def test_pages_of_a_list_with_rules_do_not_overlap(shop: SmallShop, api: Api) -> None:
    put(api, {"id": "a", "kind": "pin", "rank": 5, "product_id": "novel"}, {"id": "b", "kind": "hide", "brand": "Trevi"},
        {"id": "c", "kind": "pin", "rank": 1, "product_id": "raincoat"})  # fmt: skip

    whole = ids(search(api))
    pages = [ids(search(api, k=4, offset=offset)) for offset in (0, 4, 8)]

    assert [each for page in pages for each in page] == whole
    assert (whole[0], whole[4], len(whole)) == ("raincoat", "novel", len(PRODUCTS) - 2)


def test_a_list_sorted_by_price_is_pinned_nowhere(shop: SmallShop, api: Api) -> None:
    put(
        api,
        {"id": "a", "kind": "pin", "rank": 1, "product_id": "teapot"},
        {"id": "b", "kind": "hide", "product_id": "mug"},
    )

    items = search(api, "tea mug kettle", sort="price")["items"]

    assert [item["price"] for item in items] == sorted(item["price"] for item in items)
    assert "mug" not in [item["product_id"] for item in items]


def test_a_filter_goes_before_a_pin(shop: SmallShop, api: Api) -> None:
    put(api, {"id": "top", "kind": "pin", "rank": 1, "product_id": "raincoat"})

    assert "raincoat" not in ids(search(api, filter="brand:Tonwerk"))


def test_a_rule_that_is_so_already_appends_nothing(shop: SmallShop, api: Api) -> None:
    rule = {"id": "x", "kind": "boost", "factor": 2, "brand": "Tonwerk", "category": ["Kitchen"], "surfaces": ["home"],
            "ends_at": "2090-01-01T01:00:00+01:00", "note": "spring"}  # fmt: skip
    put(api, rule)
    before = events()

    again = put(api, rule | {"ends_at": "2090-01-01T00:00:00Z"}, rule)

    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert events() == before


def test_a_rule_is_set_anew_by_its_id(shop: SmallShop, api: Api) -> None:
    put(api, {"id": "top", "kind": "pin", "rank": 1, "product_id": "raincoat"})
    put(api, {"id": "top", "kind": "pin", "rank": 1, "product_id": "kettle"})

    (rule,) = api.get("/v1/rules").json()["rules"]

    assert (rule["product_id"], rule["surfaces"], rule["state"]) == ("kettle", [], "in_force")
    assert ids(search(api))[0] == "kettle"


def test_an_ended_rule_counts_no_more_and_can_be_set_again(shop: SmallShop, api: Api) -> None:
    before = ids(search(api))
    rule = {"id": "top", "kind": "pin", "rank": 1, "product_id": "raincoat"}
    put(api, rule)

    ended = [api.delete("/v1/rules/top").status_code for _ in range(2)]
    drain()

    assert ended == [200, 200]
    assert (ids(search(api)), api.get("/v1/rules").json()["rules"]) == (before, [])
    assert put(api, rule)["accepted"] == 1
    assert ids(search(api))[0] == "raincoat"


def test_a_rule_that_never_was_cannot_be_ended(shop: SmallShop, api: Api) -> None:
    before = events()

    refused = api.delete("/v1/rules/nothing")

    assert (refused.status_code, refused.json()["code"], events()) == (404, "rule_not_found", before)


PIN = {"id": "x", "kind": "pin", "rank": 1, "product_id": "mug"}
HIDE = {"id": "x", "kind": "hide", "product_id": "mug"}
BAD: list[tuple[Any, str, str | None]] = [
    ({**PIN, "rank": None}, "bad_rank", "rank"),
    ({**PIN, "rank": 0}, "too_small", "rank"),
    ({**PIN, "rank": 1.5}, "wrong_type", "rank"),
    ({**HIDE, "rank": 1}, "bad_rank", "rank"),
    ({**PIN, "factor": 2}, "bad_factor", "factor"),
    ({"id": "x", "kind": "boost", "brand": "T"}, "bad_factor", "factor"),
    ({"id": "x", "kind": "boost", "brand": "T", "factor": -1}, "too_small", "factor"),
    ({"id": "x", "kind": "boost", "brand": "T", "factor": 101}, "too_large", "factor"),
    ({"id": "x", "kind": "pin", "rank": 1, "brand": "T"}, "bad_match", "product_id"),
    ({"id": "x", "kind": "hide"}, "bad_match", "product_id"),
    ({"id": "x", "kind": "hide", "category": []}, "empty", "category"),
    ({**HIDE, "kind": "bury"}, "bad_choice", "kind"),
    ({**HIDE, "id": "a b"}, "bad_format", "id"),
    ({**HIDE, "id": ""}, "bad_format", "id"),
    ({"kind": "hide", "product_id": "mug"}, "missing_field", "id"),
    ({**HIDE, "surfaces": ["cellar"]}, "bad_choice", "surfaces.0"),
    ({**HIDE, "query": "tea", "surfaces": ["home"]}, "bad_match", "query"),
    ({**HIDE, "query": "!!!"}, "empty", "query"),
    ({**HIDE, "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "bad_time", "ends_at"),
    ({**HIDE, "ends_at": "2026-01-01"}, "bad_value", "ends_at"),
    ({**HIDE, "product": "mug"}, "unknown_field", "product"),
    ({**HIDE, "note": "nul \x00"}, "bad_format", "note"),
    ("hide the mug", "not_an_object", None),
]


@pytest.mark.parametrize(("rule", "code", "field"), BAD)
def test_a_bad_rule_is_refused_alone_and_names_its_field(
    shop: SmallShop, api: Api, rule: Any, code: str, field: str | None
) -> None:
    before = events()

    answer = put(api, rule, HIDE | {"id": "good"})

    assert [(each["index"], each["code"], each["field"]) for each in answer["rejected"]] == [(0, code, field)], answer
    assert (answer["accepted"], events()) == (1, before + 1)


@pytest.mark.parametrize("body", [None, {"rules": {}}, {"rules": [], "more": 1}, {"rules": [HIDE] * 1001}])
def test_a_body_that_is_no_list_of_rules_is_refused_whole(shop: SmallShop, api: Api, body: Any) -> None:
    before = events()

    refused = api.put("/v1/rules", body)

    assert (refused.status_code, refused.json()["field"], events()) == (400, "rules", before)


def test_operators_see_the_rules_of_a_surface_and_a_query(shop: SmallShop, api: Api) -> None:
    put(
        api,
        HIDE | {"id": "everywhere"},
        HIDE | {"id": "home", "surfaces": ["home"]},
        HIDE | {"id": "tea", "query": "tea"},
    )

    def seen(**params: Any) -> set[str]:
        return {rule["id"] for rule in api.get("/v1/rules", **params).json()["rules"]}

    assert seen() == {"everywhere", "home", "tea"}
    assert seen(surface="search") == {"everywhere", "tea"}
    assert seen(surface="search", query="Tea!") == {"everywhere", "tea"}
    assert seen(surface="search", query="coffee") == {"everywhere"}


@pytest.mark.parametrize(
    ("params", "code"), [({"surface": "cellar"}, "bad_parameter"), ({"k": "1"}, "unknown_parameter")]
)
def test_a_wrong_parameter_is_refused(shop: SmallShop, api: Api, params: dict[str, Any], code: str) -> None:
    assert api.get("/v1/rules", **params).json()["code"] == code


def test_only_operators_have_rules(shop: SmallShop, api_with: Any) -> None:
    caller = api_with("search", "catalog")

    assert caller.put("/v1/rules", {"rules": [HIDE]}).status_code == 403
    assert caller.get("/v1/rules").status_code == 403
    assert caller.delete("/v1/rules/x").status_code == 403


def test_a_search_says_which_rules_it_was_made_with(shop: SmallShop, api: Api) -> None:
    api.put("/v1/rules", {"rules": [HIDE]})

    assert search(api)["ranking"]["age_seconds"] > 0  # accepted, and not in the answer yet
    drain()
    assert search(api)["ranking"]["age_seconds"] == 0
