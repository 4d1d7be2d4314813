"""What a key may do.

A view declares `required_scope = {"GET": "search", "POST": ("events", "beacon")}`, or one text for all its methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from config.api.principal import Principal
from eventlog.errors import FreshetError

if TYPE_CHECKING:  # it imports the classes named in the settings: these
    from rest_framework.views import APIView


class WrongScope(FreshetError):
    """This API key has another scope than this call needs."""

    code = "wrong_scope"
    status = 403


def scopes_for(view: Any, method: str) -> tuple[str, ...]:
    """The scopes of which a call needs one; none when the view does not answer this method."""
    declared = getattr(view, "required_scope", ())
    if isinstance(declared, dict):
        declared = declared.get("GET" if method == "HEAD" else method, ())
    return (declared,) if isinstance(declared, str) else tuple(declared)


class HasScope(BasePermission):
    """Lets a key through that has one of the scopes which the view declares for the method. Raises WrongScope."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        method = request.method or ""
        needed = scopes_for(view, method)
        if not needed:
            # nothing declared: 405 follows by itself when there is no handler, else the door stays shut
            return method == "OPTIONS" or not hasattr(view, method.lower())
        principal = cast(Principal, request.auth)
        if principal.scopes.isdisjoint(needed):
            has = ", ".join(sorted(principal.scopes))
            raise WrongScope(f"This call needs the scope {' or '.join(needed)}; this key has {has}.")
        return True
