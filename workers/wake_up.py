"""The debounced wake-up: of many appends at once, one sends a message."""

from __future__ import annotations

import time
from functools import cache

import redis
import structlog
from django.conf import settings
from kombu.exceptions import OperationalError

from workers.celery import app

log = structlog.get_logger(__name__)
KEY = "freshet:wake"
_DEBOUNCE_MS = 1000  # at most so late, should the message be lost with the key set
# A process asks the server once in this time at most: asking costs as much as a small append. Whatever it appends in
# between is seen all the same, because a drain that begins after the question looks again LINGER_SECONDS after its last find.
_ASK_AGAIN_SECONDS = 0.005
LINGER_SECONDS = 0.010
# a server that does not answer holds up one append a second, not each; the beat drains meanwhile
_PAUSE_AFTER_FAILURE_SECONDS = 1.0

_asked_at = float("-inf")


@cache
def broker_client() -> redis.Redis:
    """A connection pool to the cache server, where the debounce key lives."""
    return redis.Redis.from_url(settings.CACHE_URL, socket_timeout=1.0, socket_connect_timeout=1.0)


def wake_up() -> None:
    """Ask the projections worker to drain, unless somebody just did.

    Never raises for a broker that is away: the event is committed, and the beat drains when the worker has it again
    (Celery looks for it each 2 s at first, each 30 s after minutes).
    """
    global _asked_at
    now = time.monotonic()
    if now - _asked_at < _ASK_AGAIN_SECONDS:
        return
    _asked_at = now
    try:
        if broker_client().set(KEY, b"1", nx=True, px=_DEBOUNCE_MS):
            app.send_task("workers.tasks.drain", retry=False, expires=10)
    except (redis.RedisError, OperationalError) as error:
        _asked_at = time.monotonic() + _PAUSE_AFTER_FAILURE_SECONDS
        log.warning("wake_up_failed", error=repr(error))


def forget_wake_up() -> None:
    """Take the key away, so that an append after this sends a wake-up of its own.

    Without the server that holds it there is none to wait out: the beat's drain must go on all the same.
    """
    try:
        broker_client().delete(KEY)
    except redis.RedisError as error:
        log.warning("forget_wake_up_failed", error=repr(error))
