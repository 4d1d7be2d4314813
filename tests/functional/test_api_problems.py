"""Bad requests through the whole stack: always a problem with a code, never a 500, nothing written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import orjson
import psycopg
import pytest
from django.db import OperationalError
from rest_framework.response import Response

from eventlog.selectors import pending_count
from ranking.apis import ModelsApi
from tests.cast import Api

PUT = "/v1/weights"


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["request_id"] == answer["X-Request-ID"]
    return body


@pytest.mark.parametrize("path", ["/v1/", "/v1/nothing", "/v1/search/", "/v1/%00", "/v1/茶", "/v1/../admin"])
def test_an_unknown_address_is_a_problem(api: Api, path: str) -> None:
    assert_problem(api.get(path), 404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_a_method_that_is_not_answered_is_405(api: Api, method: str) -> None:
    assert_problem(api.send(method, "/v1/models"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"weights": [', "bad_json"),
        (b'{"weights": NaN}', "bad_json"),
        (b"[]", "not_an_object"),
        (b"\xff", "bad_json"),
    ],
)
def test_a_body_that_is_no_json_object_is_400(api: Api, body: bytes, code: str) -> None:
    assert_problem(api.put(PUT, body), 400, code)
    assert pending_count() == 0


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded", ""]
)
def test_another_content_type_is_415(api: Api, content_type: str) -> None:
    assert_problem(api.send("PUT", PUT, b'{"weights": []}', content_type=content_type), 415, "unsupported_media_type")


def test_a_charset_in_the_content_type_does_no_harm(api: Api) -> None:
    body = b'{"weights": [{"product_id": "mug", "weight": 2}]}'
    assert api.send("PUT", PUT, body, content_type="application/json; charset=utf-8").status_code == 200


def test_a_compressed_body_is_415(api: Api) -> None:
    assert_problem(api.put(PUT, b"x", headers={"content-encoding": "gzip"}), 415, "unsupported_media_type")


def test_over_8_mb_is_413(api: Api) -> None:
    body = b'{"weights": "' + b"x" * (8 * 1024 * 1024) + b'"}'
    assert_problem(api.put(PUT, body), 413, "body_too_large")


def test_a_lie_about_the_length_changes_nothing(api: Api) -> None:
    answer = api.put(PUT, b'{"weights": []}', headers={"content-length": "9"})
    assert_problem(answer, 400, "bad_json")


@pytest.mark.parametrize(
    "text", ["' OR 1=1; --", "<script>alert(1)</script>", "🙂", "مرحبا", "茶杯", "%", "\\", "\0", "\u202e"]
)
def test_any_text_in_any_place_is_answered(api: Api, text: str) -> None:
    for answer in (
        api.get("/v1/weights", product_id=text, query=text),
        api.put(PUT, {"weights": [{"product_id": text, "weight": 1, "query": text, "until": text, text: text}]}),
        api.post("/v1/rankings", {"token": text}),
        api.get("/v1/models", q=text),
        Api(text.encode().decode("latin-1")).get("/v1/models"),
    ):
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.json()["code"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let GET /v1/models fail in a way."""

    def fail(error: Exception) -> None:
        def get(self: ModelsApi, request: object) -> Response:
            shopper = "alice@example.com"
            raise error from ValueError(len(shopper))

        monkeypatch.setattr(ModelsApi, "get", get)

    return fail


def test_a_crash_is_a_500_that_tells_nothing_and_a_log_line_without_variables(
    api: Api, failing: Callable[[Exception], None], caplog: pytest.LogCaptureFixture
) -> None:
    failing(ZeroDivisionError("secret"))
    body = assert_problem(api.get("/v1/models"), 500, "internal_error")

    assert "secret" not in orjson.dumps(body).decode()
    crash: Any = next(record.msg for record in caplog.records if "request_crashed" in str(record.msg))
    assert crash["request_id"] == body["request_id"]
    assert "ZeroDivisionError" in crash["exception"]
    assert "alice" not in crash["exception"]


def test_a_database_that_is_away_is_503_with_the_time_to_wait(api: Api, failing: Callable[[Exception], None]) -> None:
    failing(psycopg.OperationalError("the connection is lost"))
    answer = api.get("/v1/models")
    assert_problem(answer, 503, "database_unavailable")
    assert int(answer["Retry-After"]) >= 1


def test_a_database_that_is_away_is_a_problem_for_a_web_page_too(
    uninvited: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(origin: str) -> bool:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr("config.api.cors.origin_is_known", away)
    answer = uninvited.get("/v1/models", headers={"origin": "https://shop.example"})

    assert_problem(answer, 401, "key_missing")
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize(("given", "kept"), [("shop-7.a_b", True), ("a b", False), ("x" * 65, False), ("é", False)])
def test_a_sane_request_id_is_kept(api: Api, given: str, kept: bool) -> None:
    assert (api.get("/v1/models", headers={"x-request-id": given})["X-Request-ID"] == given) is kept


def test_refused_requests_are_logged_by_route_without_the_query(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.get("/v1/weights", product_id="x", shopper="alice@example.com")
    line = next(record.msg for record in caplog.records if "request_refused" in str(record.msg))
    assert "alice" not in str(line)
    assert "v1/weights" in str(line)


def test_an_unknown_host_is_refused(api: Api) -> None:
    assert_problem(api.get("/v1/models", headers={"host": "evil.example"}), 400, "bad_request")
