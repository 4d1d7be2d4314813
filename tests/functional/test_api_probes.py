"""Health, metrics, schema, docs: open to everybody, and true."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from drf_spectacular.validation import validate_schema

from config import checks, health
from config.api.schema import openapi_document
from tests.cast import PRODUCTS, Api, SmallShop, drain


def checks_of(answer: Any) -> dict[str, Any]:
    return {name: outcome["ok"] for name, outcome in answer.json()["checks"].items()}


def test_live_asks_nobody(uninvited: Api, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert uninvited.get("/health/live").json() == {"live": True}


def test_ready_when_everything_answers(uninvited: Api, shop: SmallShop) -> None:
    answer = uninvited.get("/health/ready")
    assert answer.status_code == 200, answer.content
    assert checks_of(answer) == {"database": True, "migrations": True, "cache": True, "worker": True, "model": True}


def test_not_ready_without_the_cache(uninvited: Api, settings: Any) -> None:
    settings.CACHE_URL = "redis://127.0.0.1:1/0"
    answer = uninvited.get("/health/ready")
    assert answer.status_code == 503
    assert checks_of(answer)["cache"] is False
    assert "127.0.0.1" not in answer.content.decode()


def test_not_ready_is_an_answer_and_no_failure_in_the_log(
    uninvited: Api, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHE_URL = "redis://127.0.0.1:1/0"
    uninvited.get("/health/ready")
    assert "request_failed" not in caplog.text


def test_not_ready_without_the_database(uninvited: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise psycopg.OperationalError("password of freshet@10.0.0.1")

    monkeypatch.setattr(health, "scalar", away)
    answer = uninvited.get("/health/ready")
    assert answer.status_code == 503
    assert checks_of(answer)["database"] is False
    assert "10.0.0.1" not in answer.content.decode()


def test_not_ready_when_events_wait_and_no_worker_comes(
    uninvited: Api, empty_shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catalog.services import products_upsert

    products_upsert(shop_id=1, items=PRODUCTS, origin="api", now=empty_shop.clock.now)
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.0)
    answer = uninvited.get("/health/ready")
    assert checks_of(answer)["worker"] is False
    assert "no worker" in answer.json()["checks"]["worker"]["reason"]

    monkeypatch.setattr(health, "PATIENCE_SECONDS", 30.0)  # they have waited for a moment only
    assert checks_of(uninvited.get("/health/ready"))["worker"] is True


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found, series
    return float(found[1])


def test_requests_are_counted_by_route(api: Api) -> None:
    series = 'freshet_requests_total{method="GET",route="v1/models",status="200"}'
    api.get("/v1/models")
    before = value(api.get("/metrics").content.decode(), series)
    api.get("/v1/models")
    text = api.get("/metrics").content.decode()
    assert value(text, series) == before + 1
    assert value(text, 'freshet_request_seconds_count{method="GET",route="v1/models"}') >= 2


def test_no_path_and_no_method_that_a_caller_invents_makes_a_series(api: Api) -> None:
    api.get("/v1/invented-path")
    api.send("INVENTED", "/v1/models")
    text = api.get("/metrics").content.decode()
    assert "invented" not in text.lower()


def test_the_state_of_the_log_is_measured(uninvited: Api, shop: SmallShop) -> None:
    from catalog.services import products_upsert

    products_upsert(shop_id=1, items=[PRODUCTS[0] | {"title": "Mug"}], origin="api", now=shop.clock.now)
    text = uninvited.get("/metrics").content.decode()
    assert value(text, "freshet_database_up") == 1
    assert value(text, "freshet_log_head_position") >= len(PRODUCTS)
    assert value(text, "freshet_log_pending_events") == 1
    assert value(text, 'freshet_consumer_lag_events{consumer="products"}') == 0

    drain()
    assert value(uninvited.get("/metrics").content.decode(), "freshet_log_pending_events") == 0


def test_the_pace_of_learning_is_measured_by_shop(uninvited: Api, shop: SmallShop) -> None:
    text = uninvited.get("/metrics").content.decode()
    assert value(text, 'freshet_learning_slowdown{shop="1"}') == 1
    assert value(text, 'freshet_learning_refused_in_a_row{shop="1"}') == 0


def test_without_the_database_metrics_still_answer(uninvited: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise psycopg.OperationalError

    monkeypatch.setattr("config.metrics.last_position", away)
    answer = uninvited.get("/metrics")
    assert answer.status_code == 200
    assert value(answer.content.decode(), "freshet_database_up") == 0


# ── schema and docs ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def document(uninvited: Api) -> dict[str, Any]:
    answer = uninvited.get("/v1/schema")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, each) for path, item in document["paths"].items() for method, each in item.items()]


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate_schema(document)  # type: ignore[no-untyped-call]


def test_every_operation_names_its_problems_its_key_and_its_tag(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status in ("400", "401", "403", "429", "503", "default"):
            assert "application/problem+json" in operation["responses"][status]["content"], f"{method} {path} {status}"
        assert operation["security"] == [{"Api-Key": []}], f"{method} {path}"
        assert operation["tags"] != ["v1"], f"{method} {path}"
        assert "Scope: " in operation["description"], f"{method} {path}"


def test_what_does_not_work_yet_is_not_in_the_document(document: dict[str, Any]) -> None:
    absent = ("suggest", "alerts", "proposals")
    assert not [path for path in document["paths"] if any(word in path for word in absent)]


def test_nothing_is_guessed_and_no_two_shapes_share_a_name(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    openapi_document.cache_clear()
    openapi_document()
    assert "schema_name_taken" not in caplog.text
    assert capsys.readouterr().err == ""  # where drf-spectacular says what it could not find out


def test_the_docs_page_needs_nothing_from_outside(uninvited: Api) -> None:
    page = uninvited.get("/v1/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert links
    assert not [link for link in links if "//" in link]
    for link in links:
        assert finders.find(link.removeprefix("/static/")), link


# ── checks and admin ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "bind", "check", "found"),
    [
        ({"DEBUG": True, "ALLOWED_HOSTS": ["shop.example"]}, "127.0.0.1", checks.check_exposure, "freshet.E001"),
        ({"DEBUG": True, "ALLOWED_HOSTS": ["shop.example"]}, "0.0.0.0", checks.check_exposure, "freshet.E001"),
        ({"ALLOWED_HOSTS": ["*"]}, "127.0.0.1", checks.check_exposure, "freshet.W001"),
        ({}, "0.0.0.0", checks.check_exposure, "freshet.W002"),
        ({"DATABASE_URL": None}, "127.0.0.1", checks.check_database, "freshet.E002"),
        ({"SECRET_KEY": "short"}, "127.0.0.1", checks.check_values, "freshet.E003"),
        ({"CACHE_URL": "memcached://x"}, "127.0.0.1", checks.check_values, "freshet.E004"),
    ],
)
def test_dangerous_settings_are_refused(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    bind: str,
    check: Callable[..., Any],
    found: str,
) -> None:
    assert check(None) == []
    monkeypatch.setenv("FRESHET_BIND", bind)
    for name, to in changes.items():
        setattr(settings, name, to)
    assert [message.id for message in check(None)] == [found]


def test_no_migration_is_missing(db: None) -> None:
    call_command("makemigrations", "--check", "--dry-run", stdout=StringIO())


def test_the_admin_lists_keys_and_revokes_them_and_never_shows_a_secret(make_key: Any) -> None:
    from config.models import ApiKey

    make_key("search", public=True)
    key = ApiKey.objects.get()
    browser = Client()
    browser.force_login(User.objects.create_superuser("operator"))

    pages = [browser.get("/admin/config/apikey/"), browser.get(f"/admin/config/apikey/{key.pk}/change/")]
    assert all(page.status_code == 200 and key.prefix in page.content.decode() for page in pages)
    assert not any(key.signing_secret in page.content.decode() for page in pages)

    browser.post("/admin/config/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert key.revoked_at is not None
