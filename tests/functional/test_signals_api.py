"""Signals and diversity by REST, by command and on the admin's page: nothing goes live without its estimate."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from eventlog.database import scalar
from ranking.diversity_setting import DIVERSITY, diversity_of
from ranking.policies import shop_embed
from ranking.signals import signals_now, signals_of
from tests.cast import SHOP_ID, Api, Shopper, SmallShop, drain

PAGE = "/admin/signals/"
RANGE = {"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"}


@pytest.fixture
def busy(shop: SmallShop, alice: Shopper) -> SmallShop:
    """A shop with three searches that led to a mug."""
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    shop.record(*(alice.clicks("mug", query="cup") for _ in range(3)))
    shop.clock.now += timedelta(hours=1)
    alice.clock.now = shop.clock.now
    shop.record(alice.clicks("beaker", query="camping"))
    return shop


def count() -> int:
    return int(scalar("SELECT count(*) FROM eventlog_event"))


def test_a_table_is_previewed_and_then_set(busy: SmallShop, api: Api) -> None:
    signals = {"click": 2.0, "recent_half_life_seconds": 3600.0}
    previewed = api.post("/v1/signals/preview", {"signals": signals, **RANGE})
    answer = api.put("/v1/signals", {"signals": signals})
    drain()

    assert previewed.status_code == answer.status_code == 200, (previewed.content, answer.content)
    shown = api.get("/v1/signals").json()
    assert shown["signals"] == answer.json()["signals"] == previewed.json()["signals"]
    assert shown["estimate"]["mrr"] == previewed.json()["mrr"]
    assert shown["signals"]["click"] == signals_now(shop_id=SHOP_ID).values["click"] == 2.0
    assert shown["signals"]["purchase"] == shown["defaults"]["purchase"] == 10.0
    assert api.get(f"/v1/receipts/{answer.json()['receipt']}").json()["visible"]


def test_without_a_preview_it_is_refused_with_the_way_out(busy: SmallShop, api: Api) -> None:
    before = count()

    answer = api.put("/v1/signals", {"signals": {"click": 2.0}})

    assert answer.status_code == 409
    assert answer.json()["code"] == "preview_missing"
    assert answer.json()["field"] == "signals"
    assert "POST /v1/signals/preview" in answer.json()["detail"]
    assert count() == before


def test_force_needs_a_reason_and_is_recorded_with_it(busy: SmallShop, api: Api) -> None:
    assert api.put("/v1/signals", {"signals": {"click": 2.0}, "force": True}).json()["field"] == "reason"

    answer = api.put("/v1/signals", {"signals": {"click": 2.0}, "force": True, "reason": "a new shop"})
    drain()

    assert answer.status_code == 200
    assert api.get("/v1/signals").json()["reason"] == "a new shop"
    assert api.get("/v1/signals").json()["estimate"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [({"signals": {"klick": 2.0}}, "signals.klick"), ({"signals": {"click": -1}}, "signals.click"),
     ({"signals": {"click": "2"}}, "signals.click"), ({"signals": 3}, "signals"), ({"signal": {}}, "signal")],
)  # fmt: skip
def test_a_bad_body_is_refused_by_the_name_of_what_is_wrong(busy: SmallShop, api: Api, body: Any, field: str) -> None:
    before = count()

    for answer in (api.put("/v1/signals", body), api.post("/v1/signals/preview", body)):
        assert answer.status_code == 400
        assert answer.json()["code"] == "bad_signals"
        assert answer.json().get("field") == field
    assert count() == before


def test_a_range_without_searches_has_no_preview(shop: SmallShop, api: Api) -> None:
    answer = api.post("/v1/signals/preview", {"signals": {"click": 2.0}})

    assert answer.status_code == 409
    assert answer.json()["code"] == "nothing_to_preview"


def test_a_shop_without_vectors_has_none_either(shop: SmallShop, api: Api, alice: Shopper) -> None:
    shop.record(alice.clicks("mug", query="cup"))

    answer = api.post("/v1/signals/preview", {"signals": {"click": 2.0}, **RANGE})

    assert answer.json()["code"] == "nothing_to_preview"


def test_only_operators_may(busy: SmallShop, api_with: Any) -> None:
    searcher = api_with("search")

    assert searcher.put("/v1/signals", {"signals": {}}).status_code == 403
    assert searcher.post("/v1/signals/preview", {"signals": {}}).status_code == 403
    assert searcher.put("/v1/diversity", {}).status_code == 403


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("preview_signals", *arguments, "--from", RANGE["from"], "--to", RANGE["to"], stdout=out)
    return out.getvalue()


def test_the_command_says_what_a_table_would_change(busy: SmallShop, api: Api) -> None:
    found = json.loads(run("--set", "click=2", "--set", "pseudo_count=1", "--json"))

    assert found["click_throughs"] == 4
    assert found["mrr"].keys() == {"before", "after", "difference", "low", "high"}
    assert {each["query"] for each in found["moved"]} == {"cup", "camping"}
    assert api.put("/v1/signals", {"signals": {"click": 2.0, "pseudo_count": 1.0}}).status_code == 200


def test_the_command_prints_a_table(busy: SmallShop) -> None:
    said = run("--set", "click=2")

    assert "MAP@5" in said
    assert "4 searches" in said


@pytest.mark.parametrize("given", ["click", "click=much", "klick=2"])
def test_the_command_says_what_is_wrong(busy: SmallShop, given: str) -> None:
    with pytest.raises(CommandError, match="lick"):
        run("--set", given)


def typed(**signals: float) -> dict[str, str]:
    return {name: str(value) for name, value in (signals_of(signals_now(shop_id=SHOP_ID)) | signals).items()}


@pytest.fixture
def editor(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("editor"))
    return client


def test_the_page_shows_previews_and_sets(busy: SmallShop, editor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    later = busy.clock.now + timedelta(hours=1)
    monkeypatch.setattr("ranking.admin_signals.timezone.now", lambda: later)
    assert b"context_half_life_seconds" in editor.get(PAGE).content

    shown = editor.post(PAGE, typed(click=2.0) | {"preview": "1"})
    done = editor.post(PAGE, typed(click=2.0) | {"set": "1"})
    drain()

    assert b"MAP@5" in shown.content
    assert done.status_code == 302
    assert signals_now(shop_id=SHOP_ID).values["click"] == 2.0


def test_the_page_sets_nothing_that_has_no_preview_and_no_reason(busy: SmallShop, editor: Client) -> None:
    before = count()

    refused = editor.post(PAGE, typed(click=2.0) | {"set": "1"})
    odd = editor.post(PAGE, typed() | {"click": "much", "set": "1"})

    assert b"Nothing was set. Preview exactly this table first" in refused.content
    assert b"click is a number" in odd.content
    assert count() == before


def test_who_only_looks_at_versions_cannot_set(busy: SmallShop) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_modelversion"))
    client = Client()
    client.force_login(viewer)

    assert client.get(PAGE).status_code == 200
    assert client.post(PAGE, typed(click=2.0) | {"set": "1", "reason": "me"}).status_code == 403


def test_diversity_is_mild_until_it_is_set(shop: SmallShop, api: Api) -> None:
    before = api.get("/v1/diversity").json()["surfaces"]
    answer = api.put("/v1/diversity", {"surface": "home", "strength": 0.4, "group_by": "brand", "most_per_group": 3})
    drain()

    assert answer.status_code == 200, answer.content
    after = api.get("/v1/diversity").json()["surfaces"]
    assert before.keys() == after.keys() == DIVERSITY.keys()
    assert after["home"] == {"strength": 0.4, "group_by": "brand", "most_per_group": 3.0}
    assert diversity_of(shop_id=SHOP_ID, surface="product") == DIVERSITY["product"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"surface": "search", "strength": 0.1}, "surface"), ({"surface": "home", "strength": 1.0}, "strength"),
     ({"surface": "home"}, "strength"), ({"surface": "home", "strength": 0.1, "most": 1}, "most")],
)  # fmt: skip
def test_diversity_that_cannot_be_is_refused_by_its_name(
    shop: SmallShop, api: Api, body: dict[str, Any], field: str
) -> None:
    before = count()

    answer = api.put("/v1/diversity", body)

    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_diversity"
    assert answer.json()["field"] == field
    assert count() == before
