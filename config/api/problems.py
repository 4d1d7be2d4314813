"""Errors as RFC 9457 problems: all answers of 400 and above under /v1 are problem+json with a stable `code`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
import pydantic
import redis
import structlog
from django.core import exceptions as django_errors
from django.db import utils as database_errors
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions as drf_errors
from rest_framework.response import Response

from config.api.renderers import to_json
from eventlog.errors import FreshetError

log = structlog.get_logger(__name__)
CONTENT_TYPE = "application/problem+json"

_BUSY = ("55P03", "57014", "40001", "40P01")  # lock timeout, statement timeout, serialization, deadlock
_NUL = ("NUL (0x00)", "\\u0000 cannot be converted", "null character", "NUL")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """What went wrong, as the client is told."""

    status: int
    code: str
    detail: str
    field: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def body(self, request_id: str | None) -> dict[str, Any]:
        """The members of RFC 9457, and ours: code, field, request_id."""
        members = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "field": self.field,
            "request_id": request_id,
        }
        return {name: value for name, value in members.items() if value is not None}


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response:
    """Answer any exception of a view (REST framework's EXCEPTION_HANDLER)."""
    request: HttpRequest = context["request"]
    problem = problem_of(error)
    body = problem.body(request.META.get("FRESHET_REQUEST_ID"))
    return Response(body, status=problem.status, headers=dict(problem.headers), content_type=CONTENT_TYPE)


def problem_http_response(problem: Problem, request: HttpRequest) -> HttpResponse:
    """Answer a problem that arose outside of a view."""
    content = to_json(problem.body(request.META.get("FRESHET_REQUEST_ID")))
    return HttpResponse(content, status=problem.status, headers=dict(problem.headers), content_type=CONTENT_TYPE)


def problem_of(error: Exception) -> Problem:
    """Say what an exception means to the client. What nobody anticipated is logged and becomes a bare 500."""
    if isinstance(error, FreshetError):
        return _of_freshet(error)
    if isinstance(error, drf_errors.APIException):
        return _of_framework(error)
    if isinstance(error, pydantic.ValidationError):
        return _of_pydantic(error)
    if isinstance(error, Http404):
        return Problem(status=404, code="not_found", detail="There is nothing at this address.")
    if isinstance(error, django_errors.PermissionDenied):
        return Problem(status=403, code="permission_denied", detail="This is not allowed.")
    if isinstance(error, django_errors.RequestDataTooBig):
        return Problem(
            status=413, code="body_too_large", detail="A request's body may have 8 MB; send several smaller ones."
        )
    if isinstance(error, UnreadablePostError):  # the client hung up
        return Problem(status=400, code="body_incomplete", detail="The body ended before its end.")
    if isinstance(error, django_errors.SuspiciousOperation):  # a forged Host header, too many fields
        return Problem(status=400, code="bad_request", detail="This request cannot be read.")
    return _of_servers(error) or _unforeseen(error)


def _of_freshet(error: FreshetError) -> Problem:
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Api-Key realm="freshet"'
    if (seconds := getattr(error, "retry_after_seconds", None)) is not None:
        headers["Retry-After"] = str(math.ceil(seconds))
    if error.status >= 500:
        log.error("request_failed", code=error.code, exc_info=error)
    return Problem(status=error.status, code=error.code, detail=error.detail, field=error.field, headers=headers)


def _of_framework(error: drf_errors.APIException) -> Problem:
    if isinstance(error, drf_errors.Throttled):
        seconds = math.ceil(getattr(error, "wait", None) or 1)
        detail = f"Too many requests with this key; try again in {seconds} s."
        return Problem(status=429, code="too_many_requests", detail=detail, headers={"Retry-After": str(seconds)})
    if isinstance(error, drf_errors.ValidationError):
        name, detail = _first(error.detail)
        return Problem(status=400, code="bad_value", detail=detail, field=name)
    code = {415: "unsupported_media_type", 406: "not_acceptable"}.get(error.status_code, error.default_code)
    headers = {"WWW-Authenticate": 'Api-Key realm="freshet"'} if error.status_code == 401 else {}
    return Problem(status=error.status_code, code=code, detail=str(error.detail), headers=headers)


def _first(detail: Any, name: str | None = None) -> tuple[str | None, str]:
    """The first message in a validation error's nest of dictionaries and lists, with the path to it."""
    while isinstance(detail, dict | list) and detail:
        if isinstance(detail, list):
            detail = detail[0]
            continue
        key, detail = next(iter(detail.items()))
        name = key if name is None else f"{name}.{key}"
    return name, str(detail)


def _of_pydantic(error: pydantic.ValidationError) -> Problem:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    code = "unknown_field" if first["type"] == "extra_forbidden" else "bad_value"
    return Problem(status=400, code=code, detail=first["msg"], field=name or None)


def _of_servers(error: Exception) -> Problem | None:
    """The database or the cache is away or busy, or was given what it cannot hold."""
    cause = error.__cause__ if isinstance(error, database_errors.Error) else error
    if isinstance(cause, psycopg.DataError) and any(sign in str(cause) for sign in _NUL):
        return Problem(
            status=400, code="nul_character", detail="A text holds the character NUL (U+0000); leave it out."
        )
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate in _BUSY:
        log.warning("database_busy", error=repr(cause))
        return _retry("database_busy", "Somebody else is changing the same rows; try again.", seconds=1)
    if isinstance(error, database_errors.OperationalError | database_errors.InterfaceError) or isinstance(
        cause, psycopg.OperationalError | psycopg.InterfaceError
    ):
        log.error("database_unavailable", error=repr(error))
        return _retry(
            "database_unavailable", "The database does not answer; nothing was changed. Try again.", seconds=2
        )
    if isinstance(error, redis.RedisError):
        log.error("cache_unavailable", error=repr(error))
        return _retry("cache_unavailable", "The cache does not answer. Try again.", seconds=2)
    return None


def _retry(code: str, detail: str, *, seconds: int) -> Problem:
    return Problem(status=503, code=code, detail=detail, headers={"Retry-After": str(seconds)})


def _unforeseen(error: Exception) -> Problem:
    log.error("request_crashed", exc_info=error)
    detail = "Freshet failed; the log has the traceback under this request_id."
    return Problem(status=500, code="internal_error", detail=detail)
