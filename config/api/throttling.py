"""How often a key may call: counted in Valkey, a window at a time.

Without Valkey everybody gets through, and the log says so.
"""

from __future__ import annotations

import time
from functools import cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, cast

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from config.api.principal import Principal, Rate

if TYPE_CHECKING:  # it imports the classes named in the settings: these
    from rest_framework.views import APIView

log = structlog.get_logger(__name__)
_TIMEOUT_SECONDS = 0.25
_PAUSE_SECONDS = 2.0  # after a failure nobody waits for the cache for so long
_pause_until = 0.0


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.CACHE_URL,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


class ApiKeyThrottle(BaseThrottle):
    """The key's own rate; for a public key that of each visitor's address (default: `settings.API_PUBLIC_RATE`)."""

    _wait_seconds: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        principal = cast("Principal | None", request.auth)
        if principal is None:
            return True
        rate = principal.rate or (Rate.parse(settings.API_PUBLIC_RATE) if principal.public else None)
        if rate is None:
            return True
        who = f"{principal.key_id}:{_network(self.get_ident(request))}" if principal.public else str(principal.key_id)
        now = time.time()
        window = int(now // rate.seconds)
        if _count(f"freshet:rate:{who}:{rate.seconds}:{window}", rate) <= rate.requests:
            return True
        self._wait_seconds = (window + 1) * rate.seconds - now
        return False

    def wait(self) -> float | None:
        """Seconds until the next window."""
        return self._wait_seconds


def _count(key: str, rate: Rate) -> int:
    """Count one request and return how many the window has seen; 0 while the cache is away."""
    global _pause_until  # one clock for the process; a lost write costs one more attempt
    if time.monotonic() < _pause_until:
        return 0
    try:
        with _client().pipeline(transaction=False) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, rate.seconds + 1)
            return int(pipeline.execute()[0])
    except redis.RedisError as error:
        _pause_until = time.monotonic() + _PAUSE_SECONDS
        log.warning("throttle_without_cache", error=repr(error))
        return 0


def _network(address: str | None) -> str:
    """A visitor's address; for IPv6 the /64, since one visitor owns as many addresses as he likes."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or ""
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) else str(parsed)
