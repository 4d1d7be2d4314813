"""The admin's page of experiments: what it draws and lists, who may look, who may stop one."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ranking.experiments.experiment import experiment_get
from ranking.experiments.watching import experiments_watch
from tests.cast import SHOP_ID, SmallShop, drain
from tests.experiment_shop import start, visits

PAGE = "/admin/experiments/"


@pytest.fixture
def editor(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("editor"))
    return client


@pytest.fixture
def watched(shop: SmallShop) -> SmallShop:
    """An experiment of which two read-outs were noted."""
    experiment = start(shop.clock.now, name="<b>Popular</b>", guards={"ctr": 0.1})
    for shoppers in (150, 300):
        visits(shop, experiment, shoppers, clicks=lambda variant, n: n % 3 == 0)
        experiments_watch(shop_id=SHOP_ID, now=shop.clock.now)
        drain()
    return shop


def charts(page: str) -> dict[str, Any]:
    """What each chart of the page draws, by its title."""
    cards = re.findall(r'<h2[^>]*>\s*([^<]*?)\s*</h2>(?:(?!<h2).)*?<canvas[^>]*data-value="([^"]*)"', page, re.DOTALL)
    return {unescape(title): orjson.loads(unescape(data)) for title, data in cards}


def test_intervals_are_drawn_over_time_with_the_guard(watched: SmallShop, editor: Client) -> None:
    found = charts(editor.get(PAGE).content.decode())

    drawn = {each["label"]: each["data"] for each in found["popular: Requests with a click"]["datasets"]}
    assert list(drawn) == ["from", "to", "estimate", "guard"]
    assert all(
        low < middle < high for low, middle, high in zip(drawn["from"], drawn["estimate"], drawn["to"], strict=True)
    )
    assert drawn["guard"][1] == pytest.approx(-0.1 / 3, abs=0.002)
    assert drawn["to"][1] - drawn["from"][1] < drawn["to"][0] - drawn["from"][0]
    assert len(found["popular: Revenue a request"]["datasets"]) == 3


def test_variants_and_comparisons_are_listed_and_names_are_text(watched: SmallShop, editor: Client) -> None:
    answer = editor.get(PAGE)

    assert [row[0] for row in answer.context["sides"]["rows"]] == ["control", "popular"]
    assert answer.context["compared"]["rows"][0][:2] == ["popular", "ctr"]
    assert "&lt;b&gt;Popular&lt;/b&gt;" in answer.content.decode()


def test_an_operator_stops_it_there(watched: SmallShop, editor: Client) -> None:
    answer = editor.post(PAGE, {"stop": "home-1"}, follow=True)
    drain()

    assert "home-1 is being stopped" in answer.content.decode()
    assert experiment_get(shop_id=SHOP_ID, id_="home-1").detail == "stopped by editor"
    assert "Nothing was stopped" in editor.post(PAGE, {"stop": "home-1"}, follow=True).content.decode()
    assert "home-1 (stopped)" in editor.get(PAGE, {"id": "home-1"}).content.decode()


def test_who_may_only_look_stops_nothing(watched: SmallShop, client: Client) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert client.get(PAGE).status_code == 403

    clerk.user_permissions.add(Permission.objects.get(codename="view_modelversion"))

    assert 'name="stop"' not in client.get(PAGE).content.decode()
    assert client.post(PAGE, {"stop": "home-1"}).status_code == 403
    drain()
    assert experiment_get(shop_id=SHOP_ID, id_="home-1").state == "running"


def test_a_shop_without_one_says_how_to_start(shop: SmallShop, editor: Client) -> None:
    assert "POST /v1/experiments" in editor.get(PAGE).content.decode()
    assert editor.get(PAGE, {"id": "home-1"}).status_code == 404
    assert editor.get(PAGE, {"shop": "3"}).status_code == 404


def test_the_list_of_versions_leads_to_it(shop: SmallShop, editor: Client) -> None:
    assert f'href="{PAGE}"' in editor.get("/admin/ranking/modelversion/").content.decode()
