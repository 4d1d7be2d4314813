"""The way in for machines: /v1, health and metrics get a short path of their own, everybody else Django's usual one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextvars import Token
from typing import Any
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from config.api.body import discard_body, receive_body
from config.api.cors import add_cors_headers, is_preflight, preflight_response
from config.api.problems import Problem, problem_http_response, problem_of
from config.metrics import observe_request

log = structlog.get_logger(__name__)
SLOW_SECONDS = 1.0
_SHORT_PATH = ("/v1/", "/health/", "/metrics")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ApiMiddleware:
    """Request id, problems, CORS, measurements; no sessions, CSRF, messages or users, which /v1 does not have.

    Whatever stands after this class in MIDDLEWARE does not see requests under /v1, /health and /metrics.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request_id = _name(request)
        tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            short = request.path_info.startswith(_SHORT_PATH)
            response = answer(request) if short else self.get_response(request)
            response["X-Request-ID"] = request_id
            _account(request, response, seconds=time.perf_counter() - started)
        finally:
            structlog.contextvars.reset_contextvars(**_typed(tokens))
        return response


def answer(request: HttpRequest) -> HttpResponseBase:
    """Find the view, call it, and turn every error into a problem."""
    try:
        request.get_host()  # refuses a Host that is not in ALLOWED_HOSTS
        if is_preflight(request):
            response: HttpResponseBase = preflight_response(request)
        else:
            receive_body(request)
            match = resolve(request.path_info)
            request.resolver_match = match
            response = match.func(request, *match.args, **match.kwargs)
            if hasattr(response, "render"):
                response = response.render()
    except Resolver404:
        detail = f"There is nothing at {request.path_info[:200]}; /v1/schema lists what there is."
        response = problem_http_response(Problem(status=404, code="not_found", detail=detail), request)
    except Exception as error:  # noqa: BLE001  (the outermost edge: problem_of logs what nobody anticipated)
        response = problem_http_response(problem_of(error), request)
    discard_body(request)
    add_cors_headers(request, response)
    if not response.streaming and "Content-Length" not in response:
        response["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
    response._has_been_logged = True  # type: ignore[attr-defined]  # `_account` writes the one line there is about it
    return response


def _name(request: HttpRequest) -> str:
    """Take over the caller's X-Request-ID when it is a sane one, else make one."""
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    name = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
    request.META["FRESHET_REQUEST_ID"] = name
    return name


def _account(request: HttpRequest, response: HttpResponseBase, *, seconds: float) -> None:
    """Measure every request; log those that failed, were refused or slow (never the query: it may name persons)."""
    match = request.resolver_match
    route = match.route if match else "(none)"
    observe_request(method=request.method or "", route=route, status=response.status_code, seconds=seconds)
    slow, status = seconds >= SLOW_SECONDS, response.status_code
    # a probe that says "not yet" while everything starts has answered, not failed
    failed = status >= 500 and not route.startswith("health/")
    if not slow and status < 400:
        return
    principal = getattr(request, "auth", None)
    write = log.error if failed else log.warning if slow else log.info
    write(
        "request_failed" if failed else "request_slow" if slow else "request_refused",
        method=request.method,
        route=route,
        status=status,
        seconds=round(seconds, 4),
        key_id=getattr(principal, "key_id", None),
    )


def _typed(tokens: Any) -> dict[str, Token[Any]]:
    return dict(tokens)
