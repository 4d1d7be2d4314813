"""Every exception becomes a problem with a code, and an unforeseen one tells the client nothing."""

from __future__ import annotations

import psycopg
import pydantic
import pytest
import redis
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db.utils import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions as drf

from config.api.principal import ShopperNotSigned
from config.api.problems import problem_of
from eventlog.errors import ConcurrentChange, LogDamaged


def pydantic_error() -> pydantic.ValidationError:
    class Body(pydantic.BaseModel, extra="forbid"):
        k: int

    try:
        Body.model_validate({"k": 1, "secret": "alice@example.com"})
    except pydantic.ValidationError as error:
        return error
    raise AssertionError


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ConcurrentChange(), 412, "concurrent_change"),
        (ShopperNotSigned(field="shopper_signature"), 403, "shopper_not_signed"),
        (LogDamaged(), 500, "log_damaged"),
        (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf.UnsupportedMediaType("text/html"), 415, "unsupported_media_type"),
        (drf.Throttled(wait=2.5), 429, "too_many_requests"),
        (drf.ValidationError({"products": [{"title": ["is missing"]}]}), 400, "bad_value"),
        (drf.NotFound(), 404, "not_found"),
        (pydantic_error(), 400, "unknown_field"),
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (RequestDataTooBig(), 413, "body_too_large"),
        (SuspiciousOperation(), 400, "bad_request"),
        (UnreadablePostError(), 400, "body_incomplete"),
        (OperationalError("connection refused"), 503, "database_unavailable"),
        (InterfaceError("connection already closed"), 503, "database_unavailable"),
        (psycopg.OperationalError("server closed the connection"), 503, "database_unavailable"),
        (psycopg.errors.LockNotAvailable("lock timeout"), 503, "database_busy"),
        (caused_by(OperationalError("x"), psycopg.errors.DeadlockDetected("x")), 503, "database_busy"),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), 400, "nul_character"),
        (redis.ConnectionError("refused"), 503, "cache_unavailable"),
        (ZeroDivisionError("alice@example.com"), 500, "internal_error"),
    ],
)
def test_it_has_a_stable_code_and_status(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)


def test_an_unforeseen_error_tells_nothing() -> None:
    body = problem_of(ZeroDivisionError("alice@example.com")).body("r-1")
    assert body["request_id"] == "r-1"
    assert "alice" not in str(body)


def test_a_validation_error_names_the_path_and_not_the_value() -> None:
    problem = problem_of(pydantic_error())
    assert problem.field == "secret"
    assert "alice" not in problem.detail
    assert problem_of(drf.ValidationError({"products": [{"title": ["is missing"]}]})).field == "products.title"


@pytest.mark.parametrize("error", [drf.Throttled(wait=0.2), OperationalError(), psycopg.errors.LockNotAvailable()])
def test_what_passes_says_when_to_try_again(error: Exception) -> None:
    assert int(problem_of(error).headers["Retry-After"]) >= 1
