"""The page of the admin that shows how good the model versions were: what is drawn, what is listed, who may look."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.test import Client

from eventlog.models import Shop
from ranking.events import ModelVersionTrained
from ranking.learning.artefact import Artefact, artefact_write
from ranking.registry import artefact_hash, model_promote_new, model_refuse_new, model_register
from ranking.relevance import head_default
from ranking.services import model_ensure_first
from tests.cast import SHOP_ID, SmallShop, drain

PAGE = "/admin/learning/"


@pytest.fixture
def editor(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("editor"))
    return client


def version_trained(shop: SmallShop, version: str, *, refused: str | None = None, **gate: Any) -> None:
    """Register a version that the gate let through, or refused for a reason, with these figures."""
    artefact = artefact_write(Artefact(head_default("all-minilm-l6-v2")))
    metrics = {"click_throughs": 500, "seconds": 41.0, "loss_first": 1.4, "loss_last": 0.9,
               "gate": {"click_throughs": 150, "overlap": 0.8, **gate}}  # fmt: skip
    trained = ModelVersionTrained(
        version=version, parent="1.0", encoder="of a test", artefact=artefact_hash(artefact), metrics=metrics,
        config={"encoder_name": "minilm", "options": {"least_overlap": 0.3}},
    )  # fmt: skip
    model_register(shop_id=shop.shop_id, trained=trained, artefact=artefact, now=shop.clock.now)
    if refused:
        model_refuse_new(shop_id=shop.shop_id, version=version, reason=refused, now=shop.clock.now)
    else:
        model_promote_new(shop_id=shop.shop_id, version=version, reason="better", now=shop.clock.now)
    drain()


@pytest.fixture
def learned(empty_shop: SmallShop) -> SmallShop:
    """1.0, then 1.1 which serves and 1.2 which was refused."""
    model_ensure_first(shop_id=SHOP_ID, now=empty_shop.clock.now)
    version_trained(empty_shop, "1.1", serving={"mrr": 0.5, "ndcg": None}, candidate={"mrr": 0.6, "ndcg": None})
    version_trained(
        empty_shop, "1.2", refused="<b>MRR</b> falls", serving={"mrr": 0.6}, candidate={"mrr": 0.4},
        serving_snips=0.2, candidate_snips=0.1,
    )  # fmt: skip
    return empty_shop


def charts(page: str) -> dict[str, Any]:
    """What each chart of the page draws, by its title."""
    cards = re.findall(r'<h2[^>]*>\s*([^<]*?)\s*</h2>(?:(?!<h2).)*?<canvas[^>]*data-value="([^"]*)"', page, re.DOTALL)
    return {unescape(title): orjson.loads(unescape(data)) for title, data in cards}


def test_each_figure_is_drawn_over_versions_and_refused_ones_are_crossed(learned: SmallShop, editor: Client) -> None:
    found = charts(editor.get(PAGE).content.decode())["MRR of the clicked product"]

    served, candidate = found["datasets"]
    assert found["labels"] == ["1.1", "1.2"]
    assert (served["data"], candidate["data"]) == ([0.5, 0.6], [0.6, 0.4])
    assert candidate["pointStyle"] == ["circle", "crossRot"]


def test_a_figure_that_nobody_named_here_is_drawn_as_well_and_one_without_values_is_not(
    learned: SmallShop, editor: Client
) -> None:
    found = charts(editor.get(PAGE).content.decode())

    assert found["snips"]["datasets"][1]["data"] == [None, 0.1]
    assert "nDCG@10 of what was shown" not in found
    assert {"How alike first pages stay", "Loss", "Click-throughs", "Seconds"} <= found.keys()
    assert "Privacy spent (ε)" not in found


def test_what_serves_and_why_others_do_not_can_be_read(learned: SmallShop, editor: Client) -> None:
    answer = editor.get(PAGE)

    rows = answer.context["table"]["rows"]
    assert [tile.value for tile in answer.context["tiles"]] == ["1.1", "2", "1,000", "41 s"]
    assert rows[0][:5] == ["1.2", "refused", "1.0", 500, "0.600 → 0.400"]
    assert "&lt;b&gt;MRR&lt;/b&gt; falls" in answer.content.decode()


def test_the_list_of_versions_leads_to_it(learned: SmallShop, editor: Client) -> None:
    assert f'href="{PAGE}"' in editor.get("/admin/ranking/modelversion/").content.decode()


def test_a_new_shop_says_that_nothing_was_trained_yet(shop: SmallShop, editor: Client) -> None:
    answer = editor.get(PAGE)

    assert answer.status_code == 200
    assert "No version was trained yet" in answer.content.decode()


def test_each_shop_has_a_page_of_its_own(learned: SmallShop, editor: Client) -> None:
    other = Shop.objects.create(id=2, name="other")

    assert charts(editor.get(PAGE, {"shop": other.pk}).content.decode()) == {}
    assert editor.get(PAGE, {"shop": "3"}).status_code == 404


def test_a_clerk_without_permission_does_not_see_it(learned: SmallShop, client: Client) -> None:
    assert client.get(PAGE).status_code == 302

    client.force_login(User.objects.create_user("clerk", is_staff=True))

    assert client.get(PAGE).status_code == 403


def test_prometheus_counts_versions_and_knows_since_when_one_serves(learned: SmallShop, client: Client) -> None:
    text = client.get("/metrics").content.decode()

    assert 'freshet_versions_trained_total{shop="1"} 2.0' in text
    assert 'freshet_versions_promoted_total{shop="1"} 1.0' in text
    assert 'freshet_versions_refused_total{shop="1"} 1.0' in text
    assert 'freshet_trainer_waiting_click_throughs{shop="1"} 0.0' in text
    assert 'freshet_serving_version_seconds{shop="1"}' in text
