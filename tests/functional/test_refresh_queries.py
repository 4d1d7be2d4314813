"""`manage.py refresh_queries` and the page that shows its lists."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from eventlog.database import scalar
from ranking.models import ResultList
from ranking.policies import shop_embed
from tests.cast import SHOP_ID, Shopper, SmallShop, drain
from workers.tasks import refresh_queries

LIST = "/admin/ranking/resultlist/"


@pytest.fixture
def busy(shop: SmallShop, alice: Shopper) -> SmallShop:
    """The small shop, where tea cups and speakers were asked for."""
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    shop.record(alice.clicks("mug", query="tea cup"), alice.clicks("speaker", query="loud [red] speaker"))
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    drain()
    return shop


def run(*options: str) -> str:
    out = StringIO()
    call_command("refresh_queries", *options, stdout=out)
    return " ".join(out.getvalue().split())


def test_it_says_what_it_refreshed_and_once_more_that_there_is_nothing(busy: SmallShop) -> None:
    assert "new: busy, and had no list │ 2" in run()

    assert run() == "Nothing refreshed: no list is stale. --all refreshes every one."


def test_it_shows_what_moved_most(busy: SmallShop, bob: Shopper) -> None:
    run()
    gone = ResultList.objects.get(query="loud [red] speaker").items[0]
    busy.retire(gone)
    busy.record(*(bob.buys("novel", query="tea cup") for _ in range(3)))

    said = run("--all")

    assert "Moved most" in said
    assert gone in said
    assert "loud [red] speaker" in said
    assert "2 of 2 queries that had a list before answer otherwise now." in said


def test_a_limit_counts_the_busiest(busy: SmallShop, bob: Shopper) -> None:
    busy.record(bob.clicks("mug", query="tea cup"))

    run("--limit", "1")

    assert [each.query for each in ResultList.objects.all()] == ["tea cup"]


@pytest.mark.parametrize("options", [("--shop", "77"), ("--limit", "0"), ("--limit", "-3")])
def test_what_is_refused_writes_nothing(busy: SmallShop, options: tuple[str, ...]) -> None:
    before = scalar("SELECT count(*) FROM eventlog_event")

    with pytest.raises(CommandError):
        run(*options)

    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_the_hourly_task_refreshes_every_shop(busy: SmallShop) -> None:
    refresh_queries()

    assert ResultList.objects.count() == 2


@pytest.fixture
def editor(busy: SmallShop) -> Client:
    run()
    client = Client()
    client.force_login(User.objects.create_superuser("editor"))
    return client


def test_the_admin_lists_the_most_moved_first(busy: SmallShop, editor: Client, bob: Shopper) -> None:
    busy.record(*(bob.buys("novel", query="tea cup") for _ in range(3)))
    run("--all")

    shown = editor.get(LIST).context["cl"].result_list

    assert [each.query for each in shown] == ["tea cup", "loud [red] speaker"]
    assert shown[0].overlap < shown[1].overlap
    assert editor.get(f"{LIST}?o=2").status_code == editor.get(f"{LIST}?q=mug").status_code == 200


def test_the_admin_shows_a_list_and_changes_nothing(busy: SmallShop, editor: Client) -> None:
    listed = ResultList.objects.get(query="tea cup")
    page = f"{LIST}{listed.pk}/change/"

    assert f"1. {listed.items[0]}" in editor.get(page).content.decode()
    for address in (page, f"{LIST}add/", f"{LIST}{listed.pk}/delete/"):
        assert editor.post(address, {"query": "x"}).status_code == 403
    assert ResultList.objects.get(query="tea cup").items == listed.items


def test_the_admin_shows_retired_lists_when_asked(editor: Client) -> None:
    ResultList.objects.filter(query="tea cup").update(retired_at="2026-01-01T00:00:00Z")

    current = [each.query for each in editor.get(LIST).context["cl"].result_list]
    retired = [each.query for each in editor.get(f"{LIST}?kept=retired").context["cl"].result_list]

    assert (current, retired) == (["loud [red] speaker"], ["tea cup"])
