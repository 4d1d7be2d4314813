"""CORS by key: a browser may call from the origins that the key names."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers
from psycopg import Error as PsycopgError

from config.api.keys import origin_is_known
from config.api.principal import Principal

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, X-Request-ID",
    "Access-Control-Max-Age": "600",
}
_EXPOSED = "ETag, Retry-After, X-Request-ID"


def is_preflight(request: HttpRequest) -> bool:
    """Say whether a browser asks whether it may ask."""
    return request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META


def preflight_response(request: HttpRequest) -> HttpResponse:
    """Allow the request when any key names this origin; the key itself comes with the request that follows."""
    response = HttpResponse(status=204)
    if origin_is_known(request.META.get("HTTP_ORIGIN", "")):
        for name, value in _PREFLIGHT.items():
            response[name] = value
    return response


def add_cors_headers(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let a page read the answer: of its key's origins, or of any key's while no key is known."""
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return
    patch_vary_headers(response, ["Origin"])
    principal: Principal | None = getattr(request, "auth", None)
    if principal.allows_origin(origin) if principal else _may_read(origin):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = _EXPOSED


def _may_read(origin: str) -> bool:
    """Whether any key names the origin; no while the database is away, so that the problem that says so gets out."""
    try:
        return origin_is_known(origin)
    except (DatabaseError, PsycopgError):
        return False
