"""Rules in the admin: what editors save becomes events, checked as the API checks."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from eventlog.database import scalar
from ranking import admin_rules
from ranking.models import Rule
from ranking.rules.selectors import rules_at
from ranking.rules.services import rules_put
from tests.cast import SHOP_ID, TEN_O_CLOCK, SmallShop, drain

LIST = "/admin/ranking/rule/"
PIN = {"rule_id": "top", "kind": "pin", "rank": "1", "product_id": "mug"}


@pytest.fixture
def editor(db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An editor who does not wait for a worker, since there is none."""
    monkeypatch.setattr(admin_rules, "WAIT_SECONDS", 0.0)
    client = Client()
    client.force_login(User.objects.create_superuser("editor"))
    return client


def save(editor: Client, path: str, **typed: Any) -> Any:
    answer = editor.post(path, typed)
    drain()
    return answer


def in_force() -> dict[str, Any]:
    return {rule.id: rule for rule in rules_at(shop_id=SHOP_ID)}


def page(rule_id: str) -> str:
    return f"{LIST}{Rule.objects.get(rule_id=rule_id, closed_position=None).pk}/change/"


def test_an_editor_adds_a_rule(shop: SmallShop, editor: Client) -> None:
    answer = save(editor, f"{LIST}add/", **PIN, query="Tea cup", ends_at="2090-01-01 12:00", note="as agreed")

    assert answer.status_code == 302
    rule = in_force()["top"]
    assert (rule.kind, rule.rank, rule.product_id, rule.key) == ("pin", 1, "mug", "tea cup")
    assert "tea cup" not in editor.get(LIST).content.decode()  # as it was typed
    assert "search: Tea cup" in editor.get(LIST).content.decode()


def test_an_editor_changes_a_rule(shop: SmallShop, editor: Client) -> None:
    save(editor, f"{LIST}add/", rule_id="sale", kind="boost", factor="2", category="Kitchen\nCups\n",
         surfaces=["home", "search"])  # fmt: skip
    form = editor.get(page("sale")).context["adminform"].form
    typed = {bound.html_name: bound.value() for bound in form if bound.value() not in (None, "")}

    save(editor, page("sale"), **(typed | {"factor": "0.5"}))

    rule = in_force()["sale"]
    assert (rule.factor, rule.category, rule.surfaces) == (0.5, ("Kitchen", "Cups"), ("home", "search"))
    assert Rule.objects.count() == 2


def test_saving_a_rule_that_nobody_touched_appends_nothing(shop: SmallShop, editor: Client) -> None:
    save(editor, f"{LIST}add/", **PIN, starts_at="2026-01-01 12:00", note="x", brand="Tonwerk")
    before = scalar("SELECT count(*) FROM eventlog_event")
    form = editor.get(page("top")).context["adminform"].form
    typed = {bound.html_name: bound.value() for bound in form if bound.value() not in (None, "")}

    save(editor, page("top"), **(typed | {"starts_at": "2026-01-01 12:00:00"}))

    assert scalar("SELECT count(*) FROM eventlog_event") == before


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"rank": ""}, "rank"),
        ({"rule_id": "two words"}, "rule_id"),
        ({"product_id": ""}, "product_id"),
        ({"factor": "2"}, "factor"),
        ({"starts_at": "2026-02-01", "ends_at": "2026-01-01"}, "ends_at"),
    ],
)
def test_a_bad_value_is_shown_at_its_field(shop: SmallShop, editor: Client, typed: dict[str, str], field: str) -> None:
    answer = save(editor, f"{LIST}add/", **(PIN | typed))

    assert list(answer.context["adminform"].form.errors) == [field]
    assert in_force() == {}


def test_an_editor_ends_rules(shop: SmallShop, editor: Client) -> None:
    rules_put(shop_id=SHOP_ID, now=TEN_O_CLOCK, items=[
        {"id": name, "kind": "hide", "product_id": name} for name in ("mug", "novel")])  # fmt: skip
    drain()

    save(editor, LIST, action="end", _selected_action=[str(Rule.objects.get(rule_id="mug").pk)])

    assert set(in_force()) == {"novel"}
    assert "novel" in editor.get(LIST).content.decode()
    assert "ended" in editor.get(f"{LIST}?kept=before").content.decode()


def test_a_hostile_note_is_shown_as_text(shop: SmallShop, editor: Client) -> None:
    save(editor, f"{LIST}add/", **PIN, note="<script>alert(1)</script>")

    assert "<script>alert(1)" not in editor.get(LIST).content.decode()


def test_who_may_only_look_changes_nothing(shop: SmallShop, editor: Client) -> None:
    client = Client()
    client.force_login(User.objects.create_user("visitor", is_staff=True))

    assert save(client, f"{LIST}add/", **PIN).status_code == 403
    assert in_force() == {}
