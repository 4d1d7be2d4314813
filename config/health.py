"""Probes: is this process alive, and is all of Freshet ready to serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from psycopg import Error as PsycopgError
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.api.renderers import to_json
from eventlog.database import scalar
from eventlog.projection import projections
from eventlog.selectors import lags, oldest_pending_seconds
from ranking.towers import serving

PATIENCE_SECONDS = 30.0  # how long an event may wait while no worker drains anything
_migrated = False  # once true it stays true: migrations are not taken back under a running process


def live(request: HttpRequest) -> HttpResponse:
    """GET /health/live: this process answers. Asks nobody else, so that a database that is away restarts no server."""
    return HttpResponse(to_json({"live": True}), content_type="application/json")


def ready(request: HttpRequest) -> HttpResponse:
    """GET /health/ready: 200 when everything that serves is there, 503 with the reasons otherwise."""
    checks = {name: _outcome(check) for name, check in CHECKS.items()}
    fine = all(outcome["ok"] for outcome in checks.values())
    body = to_json({"ready": fine, "checks": checks})
    return HttpResponse(body, status=200 if fine else 503, content_type="application/json")


def _outcome(check: Callable[[], str | None]) -> dict[str, Any]:
    try:
        reason = check()
    except (DatabaseError, PsycopgError, redis.RedisError) as error:
        reason = f"no answer ({type(error).__name__})"  # the message may name hosts and users
    return {"ok": reason is None} | ({} if reason is None else {"reason": reason})


def _database() -> str | None:
    connection.close_if_health_check_failed()
    scalar("SELECT 1")
    return None


def _migrations() -> str | None:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        if waiting := len(executor.migration_plan(executor.loader.graph.leaf_nodes())):
            return f"{waiting} migrations are not applied; run manage.py migrate"
        _migrated = True
    return None


def _cache() -> str | None:
    no_retry = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(settings.CACHE_URL, socket_timeout=1, socket_connect_timeout=1, retry=no_retry) as client:
        client.ping()
    return None


def _worker() -> str | None:
    """Events may wait a moment; when they wait for long, some worker must have drained lately."""
    running = projections()
    waiting = max([oldest_pending_seconds(), *(lag.seconds for lag in lags() if lag.consumer in running)])
    if waiting < PATIENCE_SECONDS:
        return None
    drained = scalar("SELECT extract(epoch FROM clock_timestamp() - max(committed_at)) FROM eventlog_drain")
    if drained is not None and drained < PATIENCE_SECONDS:
        return None
    return f"an event waits for {waiting:.0f} s and no worker has drained for {PATIENCE_SECONDS:.0f} s"


def _model() -> str | None:
    """A web process loads its model when it starts; before that, a search would wait for it."""
    return "the model is being loaded; on the very first start it is unpacked first" if serving.is_loading() else None


CHECKS: dict[str, Callable[[], str | None]] = {
    "database": _database,
    "migrations": _migrations,
    "cache": _cache,
    "worker": _worker,
    "model": _model,
}
