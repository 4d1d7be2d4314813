"""`Authorization: Api-Key ...`, or for a page's beacon (which cannot set headers) the member `key` of the body."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from config.api.keys import principal_of
from config.api.permissions import scopes_for
from config.api.principal import Principal
from eventlog.errors import FreshetError

SCHEME = "Api-Key"


class KeyMissing(FreshetError):
    """Send the header `Authorization: Api-Key <your key>`."""

    code = "key_missing"
    status = 401


class KeyUnknown(FreshetError):
    """This API key does not exist or was revoked."""

    code = "key_unknown"
    status = 401


class WrongOrigin(FreshetError):
    """This key may not be used from this web page's origin."""

    code = "wrong_origin"
    status = 403


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.auth` to the key's Principal; there is no user."""

    def authenticate(self, request: Request) -> tuple[Any, Principal]:
        """Return (None, principal). Raises KeyMissing, KeyUnknown, WrongOrigin."""
        text = _key_of_header(request) or _key_of_body(request)
        if text is None:
            raise KeyMissing()
        principal = principal_of(text, now=datetime.now(UTC))
        if principal is None:
            raise KeyUnknown()
        if principal.public:
            _check_origin(request, principal)
        return None, principal

    def authenticate_header(self, request: Request) -> str:
        return f'{SCHEME} realm="freshet"'


def _key_of_header(request: Request) -> str | None:
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, text = header.partition(" ")
    if scheme.lower() != SCHEME.lower() or not text.strip():
        raise KeyMissing(f"The header Authorization must read `{SCHEME} <your key>`.")
    return str(text.strip())


def _key_of_body(request: Request) -> str | None:
    """Take the key out of the body, where the view takes beacons, so that the view sees its own members only."""
    if "beacon" not in scopes_for(request.parser_context["view"], request.method or ""):
        return None
    key = cast("dict[str, Any]", request.data).pop("key", None)
    return key if isinstance(key, str) and key else None


def _check_origin(request: Request, principal: Principal) -> None:
    """A public key works from the pages it names and from Freshet's own; calls without an origin come from servers."""
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return
    if not principal.allows_origin(origin) and urlsplit(origin).netloc != request.get_host():
        raise WrongOrigin(f"This key may not be used from {origin[:200]}; it names other origins.", field="Origin")
