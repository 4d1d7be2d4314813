"""Who may call what: keys, scopes, origins, rates."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.urls import URLPattern, URLResolver, get_resolver

from config.api import keys, throttling
from config.api.keys import api_keys_revoke, forget_keys, principal_of
from config.api.principal import shopper_signature
from config.models import SCOPES, ApiKey
from eventlog.selectors import pending_count
from tests.cast import Api, SmallShop
from tests.conftest import MakeKey

ApiWith = Callable[..., Api]
WEIGHTS = "/v1/weights"  # a call that needs no model: scope operate


def views() -> list[tuple[str, Any]]:
    """Every API view under /v1 with its route."""

    def walk(resolver: URLResolver, prefix: str) -> list[tuple[str, Any]]:
        found = []
        for entry in resolver.url_patterns:
            route = prefix + str(entry.pattern)
            if isinstance(entry, URLPattern):
                found.append((route, getattr(entry.callback, "view_class", None)))
            else:
                found += walk(entry, route)
        return found

    return [(route, view) for route, view in walk(get_resolver(), "") if route.startswith("v1/") and view]


def test_without_a_key_every_call_is_401_and_says_how_to_send_one(uninvited: Api) -> None:
    for route, view in views():
        if getattr(view, "authentication_classes", None) == [] or route == "v1/docs":
            continue
        path = "/" + re.sub(r"<int:\w+>", "1", re.sub(r"<(str|path):\w+>", "x", route))
        method = next(name for name in ("get", "post", "put", "delete") if hasattr(view, name)).upper()
        answer = uninvited.send(method, path, {})
        assert answer.status_code == 401, route
        assert answer.json()["code"] == "key_missing"
        assert answer["WWW-Authenticate"].startswith("Api-Key")


@pytest.mark.parametrize("header", ["", "Api-Key", "Api-Key ", "Bearer abc", "Basic YTpi", "abc"])
def test_another_way_to_authenticate_is_401(uninvited: Api, header: str) -> None:
    answer = uninvited.get(WEIGHTS, headers={"authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")


@pytest.mark.parametrize("key", ["fk_00000000_x", "é", "' OR 1=1 --", "x" * 5000])
def test_an_unknown_key_is_401(db: None, key: str) -> None:
    answer = Api(key).get(WEIGHTS)
    assert (answer.status_code, answer.json()["code"]) == (401, "key_unknown")


def test_every_view_declares_a_scope_for_each_of_its_methods() -> None:
    for route, view in views():
        if route == "v1/docs":
            continue
        declared = view.required_scope
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if hasattr(view, method.lower()):
                scopes = declared.get(method) if isinstance(declared, dict) else declared
                assert scopes, f"{method} {route}"
                assert {scopes} <= set(SCOPES) if isinstance(scopes, str) else set(scopes) <= set(SCOPES)


def test_another_scope_is_403_and_the_needed_one_is_named(api_with: ApiWith) -> None:
    answer = api_with("catalog", "search").get(WEIGHTS, product_id="mug")
    assert answer.status_code == 403
    assert answer.json()["code"] == "wrong_scope"
    assert "operate" in answer.json()["detail"]
    assert "catalog, search" in answer.json()["detail"]


def test_a_revoked_key_stops_working(api: Api, make_key: MakeKey) -> None:
    text = make_key("operate")
    assert Api(text).get("/v1/models").status_code == 200

    api_keys_revoke(keys=list(ApiKey.objects.all()), now=datetime.now(UTC))

    assert Api(text).get("/v1/models").json()["code"] == "key_unknown"


def test_a_known_key_costs_no_query(make_key: MakeKey, django_assert_num_queries: Any) -> None:
    text, now = make_key("search"), datetime.now(UTC)
    first = [principal_of(key, now=now) for key in (text, "junk")]
    with django_assert_num_queries(0):
        assert [principal_of(key, now=now) for key in (text, "junk")] == first


def test_guesses_do_not_push_real_keys_out(make_key: MakeKey, monkeypatch: pytest.MonkeyPatch) -> None:
    text, now = make_key("search"), datetime.now(UTC)
    principal_of(text, now=now)
    monkeypatch.setattr(keys, "_load", lambda digest, now: None)

    for number in range(int(keys._known.maxsize) + 1):
        principal_of(f"guess {number}", now=now)

    assert principal_of(text, now=now) is not None


def test_use_is_noted_to_the_hour(make_key: MakeKey) -> None:
    text = make_key("search")
    noon = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)
    principal_of(text, now=noon)
    forget_keys()
    principal_of(text, now=noon.replace(minute=59))
    assert ApiKey.objects.get().last_used_at == noon.replace(minute=0, second=0)


def test_the_secret_is_kept_as_a_hash_only(make_key: MakeKey) -> None:
    text = make_key("search")
    row = ApiKey.objects.values().get()
    assert all(text not in str(value) for value in row.values())
    assert len(bytes(row["secret_hash"])) == 32


# ── public keys ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_public_key_works_from_its_origins_and_from_freshets_own_page(api_with: ApiWith) -> None:
    page = api_with("search", public=True, allowed_origins=["https://shop.example"], rate="1000/s")
    codes = {
        origin: page.post("/v1/rankings", {"token": "x"}, headers={"origin": origin}).json()["code"]
        for origin in ("https://shop.example", "http://testserver", "https://evil.example", "null")
    }
    assert list(codes.values()) == ["bad_token", "bad_token", "wrong_origin", "wrong_origin"]


def test_a_browser_may_read_answers_from_the_keys_origins_only(api_with: ApiWith, uninvited: Api) -> None:
    page = api_with("search", public=True, allowed_origins=["https://shop.example"], rate="1000/s")
    answer = page.get("/v1/nothing", headers={"origin": "https://shop.example"})
    assert answer["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Origin" in answer["Vary"]

    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    assert "Authorization" in uninvited.send("OPTIONS", "/v1/search", headers=asked)["Access-Control-Allow-Headers"]
    stranger = uninvited.send("OPTIONS", "/v1/search", headers=asked | {"origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in stranger


@pytest.mark.parametrize(
    ("scopes", "options"),
    [
        (["catalog"], {"public": True}),
        (["beacon", "events"], {}),
        ([], {}),
        (["nonsense"], {}),
        (["search"], {"allowed_origins": ["shop.example/path"]}),
    ],
)
def test_a_key_that_would_be_dangerous_or_useless_is_not_made(make_key: MakeKey, scopes: Any, options: Any) -> None:
    with pytest.raises(keys.BadApiKeyRequest):
        make_key(*scopes, **options)
    assert not ApiKey.objects.exists()


def test_the_database_refuses_a_public_key_of_a_secret_scope(make_key: MakeKey) -> None:
    make_key("catalog")
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.update(public=True)


# ── rates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_too_many_requests_are_429_with_the_time_to_wait(api_with: ApiWith) -> None:
    caller = api_with("operate", rate="2/h")
    assert [caller.get("/v1/models").status_code for _ in range(3)] == [200, 200, 429]
    refused = caller.get("/v1/models")
    assert refused.json()["code"] == "too_many_requests"
    assert 0 < int(refused["Retry-After"]) <= 3600


def test_a_public_key_counts_each_visitor_apart(api_with: ApiWith) -> None:
    page = api_with("search", public=True, rate="1/h")
    statuses = []
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"):
        page._client.defaults["REMOTE_ADDR"] = address
        statuses.append(page.post("/v1/rankings", {"token": "x"}).status_code)
    assert statuses == [400, 429, 400, 400, 429]  # an IPv6 visitor owns a /64


def test_without_the_cache_everybody_gets_through(
    api_with: ApiWith, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHE_URL = "redis://127.0.0.1:1/0"
    throttling._client.cache_clear()
    monkeypatch.setattr(throttling, "_pause_until", 0.0)
    caller = api_with("operate", rate="1/h")
    try:
        assert [caller.get("/v1/models").status_code for _ in range(3)] == [200, 200, 200]
        assert "throttle_without_cache" in caplog.text
    finally:
        throttling._client.cache_clear()


# ── manage.py create_api_key ─────────────────────────────────────────────────────────────────────────────────────────


def made(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("create_api_key", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_command_prints_the_key_alone_on_the_last_line(db: None) -> None:
    lines = made("--name", "shop", "--scope", "search", "--scope", "operate")
    assert Api(lines[-1]).get("/v1/models").status_code == 200


def test_the_same_name_twice_is_a_second_key_and_replace_revokes_the_first(db: None) -> None:
    first, second = (made("--name", "shop", "--scope", "operate")[-1] for _ in range(2))
    third = made("--name", "shop", "--scope", "operate", "--replace")[-1]
    statuses = [Api(key).get("/v1/models").status_code for key in (first, second, third)]
    assert statuses == [401, 401, 200]


def test_a_beacon_key_is_public_and_a_public_search_key_tells_its_signing_secret(db: None) -> None:
    made("--name", "page", "--scope", "beacon", "--scope", "search", "--origin", "https://shop.example")
    lines = made("--name", "page", "--scope", "search", "--public")
    assert ApiKey.objects.filter(public=True).count() == 2
    assert ApiKey.objects.order_by("id").last().signing_secret in "\n".join(lines)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "arguments", [["--shop", "nowhere"], ["--rate", "fast"], ["--public"], ["--origin", "shop.example"]]
)
def test_the_command_refuses_nonsense_and_makes_nothing(db: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        made("--name", "n", "--scope", "catalog", *arguments)
    assert not ApiKey.objects.exists()


# ── beacons and shoppers' signatures ─────────────────────────────────────────────────────────────────────────────────


def beacon(key: str, *, origin: str = "https://shop.example", path: str = "/v1/events", **members: Any) -> Any:
    """What navigator.sendBeacon sends: text/plain, no header of ours, the key in the body."""
    click = {"event_id": "b-1", "kind": "click", "occurred_at": "2026-11-23T10:00:00Z", "product_id": "mug"}
    body = orjson.dumps({"key": key, "events": [click], **members})
    return Api().send("POST", path, body, content_type="text/plain;charset=UTF-8", headers={"origin": origin})


def test_a_beacon_is_taken_with_its_key_in_the_body(make_key: MakeKey) -> None:
    key = make_key("beacon", allowed_origins=["https://shop.example"])
    answer = beacon(key)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert answer["Access-Control-Allow-Origin"] == "https://shop.example"
    assert key not in answer.content.decode()


def test_a_beacon_key_writes_and_does_nothing_else(make_key: MakeKey) -> None:
    caller = Api(make_key("beacon"))
    assert caller.get("/v1/search", q="mug").json()["code"] == "wrong_scope"
    assert caller.post("/v1/products", {"products": []}).json()["code"] == "wrong_scope"


@pytest.mark.parametrize("key", [None, 7, "", "unknown", ["a"], {"a": 1}])
def test_a_beacon_without_a_proper_key_is_401_and_writes_nothing(db: None, key: Any) -> None:
    assert beacon(key).status_code == 401
    assert pending_count() == 0


def test_a_beacon_from_another_page_is_403_and_writes_nothing(make_key: MakeKey) -> None:
    key = make_key("beacon", allowed_origins=["https://shop.example"])
    assert beacon(key, origin="https://evil.example").json()["code"] == "wrong_origin"
    assert pending_count() == 0


def test_a_body_does_not_authenticate_where_no_beacons_are_taken(make_key: MakeKey) -> None:
    key = make_key("catalog")
    assert Api().post("/v1/products", {"key": key, "products": []}).json()["code"] == "key_missing"


def test_a_visitor_cannot_claim_to_be_a_shopper(shop: SmallShop, make_key: MakeKey) -> None:
    page = Api(make_key("search", public=True, rate="1000/s"))
    secret = ApiKey.objects.get(public=True).signing_secret
    signed = shopper_signature(secret, "alice")

    assert page.get("/v1/search", q="mug").status_code == 200
    assert page.get("/v1/search", q="mug", shopper_id="alice", shopper_signature=signed).status_code == 200
    for signature in ("", "0" * 64, shopper_signature(secret, "bob")):
        refused = page.get("/v1/search", q="mug", shopper_id="alice", shopper_signature=signature)
        assert (refused.status_code, refused.json()["code"]) == (403, "shopper_not_signed")
    assert page.get("/v1/search", q="mug", shopper_id="alice").json()["code"] == "shopper_not_signed"
    assert Api(make_key("search")).get("/v1/search", q="mug", shopper_id="alice").status_code == 200
