"""What changed between two model versions: by command and on the admin's page; versions promoted and rolled back there."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.core.management import CommandError, call_command
from django.test import Client

from eventlog.database import query, scalar
from ranking import admin
from ranking.cadence import learning_set
from ranking.learning.options import TrainOptions
from ranking.models import ModelVersion
from ranking.registry import model_serving
from ranking.training import shop_train
from tests.cast import drain
from tests.learning_shop import NOW, QUERIES, shop_clicks, shop_fill
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
LIST = "/admin/ranking/modelversion/"
QUICK = TrainOptions(learning_rate=0.01, epochs=10, most_steps=60, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _two_versions(db: None, settings: Any, tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.0, and 1.1 which serves."""
    settings.FRESHET_ENCODER = tiny_encoder
    monkeypatch.setattr(admin, "WAIT_SECONDS", 0.0)  # nobody drains meanwhile
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 300, seed=1)
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=QUICK)
    assert outcome is not None
    assert outcome.promoted


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def diff(*arguments: str) -> str:
    out = StringIO()
    call_command("model_diff", *arguments, stdout=out)
    return out.getvalue()


def chosen(version: str, action: str, **more: str) -> dict[str, Any]:
    return {"action": action, "_selected_action": [ModelVersion.objects.get(version=version).pk], **more}


def messages(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def serving() -> str:
    drain()
    found = model_serving(shop_id=SHOP_ID)
    assert found is not None
    return found.version


def test_queries_that_moved_most_come_first_with_what_entered_and_left() -> None:
    answer = json.loads(diff("1.0", "1.1", "--json"))

    queries = answer["queries"]
    assert len(queries) == len(QUERIES)
    assert [each["overlap"] for each in queries] == sorted(each["overlap"] for each in queries)
    assert queries[0]["overlap"] < 0.9
    assert set(queries[0]["entered"]) == set(queries[0]["after"]) - set(queries[0]["before"])
    assert answer["overlap"] == pytest.approx(sum(each["overlap"] for each in queries) / len(queries))


def test_a_version_against_itself_moves_nothing() -> None:
    said = diff("1.1", "1.1", "--queries", "5")

    assert "0 of 5 queries answer otherwise; the mean overlap is 1.000." in said


def test_the_table_names_the_queries() -> None:
    moved = json.loads(diff("1.0", "1.1", "--json"))["queries"][0]["query"]

    assert moved in diff("1.0", "1.1")


def test_without_a_judgement_list_nothing_is_asked() -> None:
    assert "Nothing asked" in diff("1.0", "1.1", "--judged")


def test_a_version_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(CommandError, match=r"no model version '1\.9'"):
        diff("1.0", "1.9")


def test_a_version_whose_vectors_are_gone_is_a_clear_error() -> None:
    query("ALTER TABLE ranking_embedding_1_1 RENAME TO elsewhere")

    with pytest.raises(CommandError, match="no vectors of major version 1"):
        diff("1.0", "1.1")


def test_the_page_shows_what_moved_and_is_reached_from_the_list(operator: Client) -> None:
    listed = operator.get(LIST).content.decode()
    address = "/admin/ranking/modelversion/diff/?first=1.0&amp;second=1.1&amp;shop=1"
    assert address in listed

    page = operator.get(address.replace("&amp;", "&"))

    moved = page.context["diff"].moved
    assert moved
    assert moved[0].query in page.content.decode()


def test_the_list_says_how_often_the_shop_learns(operator: Client) -> None:
    learning_set(shop_id=SHOP_ID, learning="daily", now=NOW)
    drain()

    assert "learns <strong>daily</strong>" in operator.get(LIST).content.decode()


@pytest.mark.parametrize(
    "asked", ["", "?first=1.0", "?first=1.0&second=9.9", "?first=<b>&second=1.1&shop=x", "?shop=77"]
)
def test_the_page_survives_what_is_odd_and_escapes_it(operator: Client, asked: str) -> None:
    page = operator.get(f"{LIST}diff/{asked}")

    assert page.status_code == 200
    assert "<b>" not in page.content.decode().replace("&lt;b&gt;", "")


def test_the_page_of_one_version_shows_its_figures_and_no_way_to_edit(operator: Client) -> None:
    page = operator.get(f"{LIST}{ModelVersion.objects.get(version='1.1').pk}/change/").content.decode()

    assert "against 1.0" in page
    assert 'name="_save"' not in page


def test_promoting_asks_first(operator: Client) -> None:
    before = scalar("SELECT count(*) FROM eventlog_event")

    page = operator.post(LIST, chosen("1.0", "promote")).content.decode()

    assert "1.0 will serve every search of shop 1 within two seconds, instead of 1.1." in page
    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_a_confirmed_version_serves_and_the_log_says_who_did_it(operator: Client) -> None:
    answer = operator.post(LIST, chosen("1.0", "promote", confirmed="yes"))

    assert "1.0 will serve in a moment" in messages(answer)
    assert serving() == "1.0"
    assert ModelVersion.objects.get(version="1.0").reason == "promoted by olga"


def test_rolling_back_is_done_from_what_serves_only(operator: Client) -> None:
    refused = operator.post(LIST, chosen("1.0", "roll_back", confirmed="yes"))
    asked = operator.post(LIST, chosen("1.1", "roll_back"))
    done = operator.post(LIST, chosen("1.1", "roll_back", confirmed="yes"))

    assert "Choose the version that serves" in messages(refused)
    assert "The version that served before 1.1" in asked.content.decode()
    assert "1.0 will serve" in messages(done)
    assert serving() == "1.0"


def test_who_may_only_look_is_offered_no_action() -> None:
    looker = User.objects.create_user("lena", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_modelversion"))
    client = Client()
    client.force_login(looker)

    listed = client.get(LIST).content.decode()
    client.post(LIST, chosen("1.0", "promote", confirmed="yes"))

    assert "against 1.0" in listed
    assert "Promote" not in listed
    assert serving() == "1.1"
