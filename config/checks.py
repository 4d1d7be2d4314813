"""Settings that would hurt somebody are refused when a process starts (`manage.py check` lists them)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]", "::1"}
_SHORTEST_SECRET = 32


@register(Tags.security)
def check_exposure(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Debug pages show settings and rows: only to this machine."""
    found: list[CheckMessage] = []
    hosts = set(settings.ALLOWED_HOSTS) - {"testserver"}
    bind = os.environ.get("FRESHET_BIND", "127.0.0.1")
    if settings.DEBUG and (not hosts <= _LOOPBACK or bind not in _LOOPBACK):
        hint = "Unset FRESHET_DEBUG, or keep FRESHET_ALLOWED_HOSTS and FRESHET_BIND to this machine."
        found.append(
            Error("FRESHET_DEBUG is on and others than this machine can connect.", hint=hint, id="freshet.E001")
        )
    if "*" in hosts and not settings.DEBUG:
        hint = "Name the shop's host in FRESHET_ALLOWED_HOSTS."
        found.append(Warning("Freshet answers to any Host header.", hint=hint, id="freshet.W001"))
    if bind not in _LOOPBACK and hosts <= _LOOPBACK:
        hint = "Name the host that others call in FRESHET_ALLOWED_HOSTS."
        found.append(Warning("Others can connect, but only localhost is answered.", hint=hint, id="freshet.W002"))
    return found


@register(Tags.security)
def check_values(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Values that parse and yet cannot be meant."""
    found: list[CheckMessage] = []
    if len(settings.SECRET_KEY) < _SHORTEST_SECRET:
        hint = "Unset FRESHET_SECRET_KEY (Freshet makes one and keeps it), or give 32 random characters or more."
        found.append(Error("FRESHET_SECRET_KEY can be guessed.", hint=hint, id="freshet.E003"))
    if urlsplit(settings.CACHE_URL).scheme not in {"redis", "rediss", "unix"}:
        hint = "Set CACHE_URL to redis://host:port/number."
        found.append(Error("CACHE_URL is not a Redis or Valkey server.", hint=hint, id="freshet.E004"))
    if int(str(settings.REST_FRAMEWORK["NUM_PROXIES"])) < 0:
        hint = "Set FRESHET_PROXIES to how many reverse proxies of yours stand before Freshet, 0 for none."
        found.append(Error("FRESHET_PROXIES is negative.", hint=hint, id="freshet.E005"))
    return found


@register(Tags.database)
def check_database(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Runs before migrations only: `manage.py up` starts before there is a database."""
    if settings.DATABASE_URL:
        return []
    hint = "Start Freshet with `make run`, or set DATABASE_URL to postgresql://user:password@host:port/name."
    return [Error("There is no database.", hint=hint, id="freshet.E002")]
