"""Letting go of a major version that nothing has served from for long enough: its table, its index, its near contexts."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import psycopg
import structlog
from django.conf import settings
from django.db import transaction

from eventlog.database import query, scalar
from eventlog.errors import ConcurrentChange
from ranking.draining import drain_to_head
from ranking.projections.contexts import contexts
from ranking.projections.vectors import embedding_tables, vectors
from ranking.registry import (
    ModelVersion,
    major_is_retired,
    major_retire,
    model_awaited,
    model_serving,
    model_versions,
)

log = structlog.get_logger(__name__)
_DROP_TIMEOUT = "200ms"

# since when nothing has served from a major version: the promotion after its last one, or after it was given up
_LEFT = """
SELECT least(e.occurred_at, e.recorded_at) FROM ranking_modelversion v
  JOIN eventlog_position p ON p.position = v.promoted_position JOIN eventlog_event e ON e.id = p.event_id
 WHERE v.shop_id = %(shop)s AND v.promoted_position >
       (SELECT max(coalesce(promoted_position, trained_position)) FROM ranking_modelversion
         WHERE shop_id = %(shop)s AND major = %(major)s)
 ORDER BY v.promoted_position LIMIT 1"""


def majors_retire(*, shop_id: int, now: datetime) -> list[int]:
    """Let go of the vectors of major versions that nothing has served from for FRESHET_MAJOR_KEPT_SECONDS; return which."""
    retired = []
    for version in _others(shop_id) if len(embedding_tables(shop_id)) > 1 else ():
        left = scalar(_LEFT, {"shop": shop_id, "major": version.major})
        if left is None or now - left < timedelta(seconds=settings.FRESHET_MAJOR_KEPT_SECONDS):
            continue
        with suppress(ConcurrentChange):  # another process was faster
            major_retire(shop_id=shop_id, major=version.major, encoder=version.encoder, now=now)
            # beside the log, so no projection's to forget
            query("DELETE FROM ranking_contextvector WHERE shop_id = %s AND encoder = %s", [shop_id, version.encoder])
            retired.append(version.major)
    if retired:
        for projection in (vectors, contexts):
            drain_to_head(projection)
    _drop_tables(shop_id)
    return retired


def _others(shop_id: int) -> list[ModelVersion]:
    """A version of each major that has vectors, and neither serves nor is awaited."""
    busy = {each.major for each in (model_serving(shop_id=shop_id), model_awaited(shop_id=shop_id)) if each}
    tables = embedding_tables(shop_id)
    by_major = {each.major: each for each in model_versions(shop_id=shop_id)}
    return [
        each for major, each in sorted(by_major.items())
        if major not in busy and f"ranking_embedding_{shop_id}_{major}" in tables
        and not major_is_retired(shop_id=shop_id, major=major)
    ]  # fmt: skip


def _drop_tables(shop_id: int) -> None:
    for table in embedding_tables(shop_id, retired=True):
        try:
            with transaction.atomic():
                query(f"SET LOCAL lock_timeout = '{_DROP_TIMEOUT}'")
                query(f"DROP TABLE {table}")
        except psycopg.errors.LockNotAvailable:
            log.info("major_table_busy", table=table)  # a backup reads it: next time
