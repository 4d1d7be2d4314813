"""Consuming: read by position, apply, move the checkpoint in the same transaction; park what cannot be applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import structlog
from django.db import OperationalError, transaction

from eventlog.database import query, rows, scalar
from eventlog.errors import LostClaim
from eventlog.events import EventParked, NewEvent, ParkedEventRetried, RecordedEvent, consumer_event_id
from eventlog.projection import Projection, projections
from eventlog.selectors import last_position, read, read_at
from eventlog.services import append, sequence

log = structlog.get_logger(__name__)
ATTEMPTS = 3  # an event that fails this often is parked: once may be a deadlock, twice a coincidence
BATCH = 5000

_CLAIM = "SELECT position FROM eventlog_checkpoint WHERE consumer = %s FOR UPDATE SKIP LOCKED"


def sequence_and_drain(*, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Sequence what is pending and drain every projection, again and again until a pass finds nothing.

    Returns how many events were sequenced. Projections are served in turn, a batch each, so that none starves another.
    """
    sequenced = 0
    while not should_stop():
        new = max(sequence(), 0)
        moved = sum(drain(projection) for projection in projections().values())
        sequenced += new
        if not new and not moved:
            break
    return sequenced


def drain(projection: Projection, *, batch: int = BATCH) -> int:
    """Apply the next batch to a projection; return how many positions its checkpoint moved (0: nothing, or another is at it)."""
    with transaction.atomic():
        position = _claim(projection.name)
        if position is None:
            return 0
        to = min(last_position(), position + batch)
        if to <= position:
            return 0
        reached = _apply(projection, after=position, to=to)
        if reached > position:
            _move(projection.name, position, reached)
        return reached - position


def _claim(consumer: str) -> int | None:
    """Lock the consumer's checkpoint; None when another session holds it."""
    row = query(_CLAIM, [consumer]).fetchone()
    if row is None and not scalar("SELECT 1 FROM eventlog_checkpoint WHERE consumer = %s", [consumer]):
        query("INSERT INTO eventlog_checkpoint (consumer) VALUES (%s) ON CONFLICT DO NOTHING", [consumer])
        row = query(_CLAIM, [consumer]).fetchone()
    return None if row is None else int(row[0])


def _move(consumer: str, position: int, to: int) -> None:
    query("UPDATE eventlog_checkpoint SET position = %s WHERE consumer = %s", [to, consumer])
    query("INSERT INTO eventlog_drain (consumer, from_position, to_position) VALUES (%s, %s, %s)", [consumer, position, to])


def _apply(projection: Projection, *, after: int, to: int) -> int:
    """Apply the events after < p <= to; return the position reached (short of `to` when an event failed and may be retried)."""
    types = projection.event_types | {ParkedEventRetried.type}
    events = with_retries(read(after=after, to=to, types=types), projection)
    if not events:
        return to
    try:
        with transaction.atomic():
            projection.apply(events)
        return to
    except (OperationalError, psycopg.OperationalError):
        raise  # the connection, a lock, the disk: not the event's fault, nothing is counted
    except Exception as error:
        log.warning("projection_batch_failed", consumer=projection.name, after=after, to=to, error=repr(error))
    return _apply_one_by_one(projection, events, after=after, to=to)


def _apply_one_by_one(projection: Projection, events: Sequence[RecordedEvent], *, after: int, to: int) -> int:
    for event in events:
        try:
            with transaction.atomic():
                projection.apply([event])
        except (OperationalError, psycopg.OperationalError):
            raise
        except Exception as error:
            if not _park_after_attempts(projection.name, event, error):
                return max(event.position - 1, after)
    return to


def _park_after_attempts(consumer: str, event: RecordedEvent, error: Exception) -> bool:
    """Count a failure; park the event when it failed often enough and say so."""
    message = f"{type(error).__name__}: {error}"[:2000]
    attempts = scalar(
        """INSERT INTO eventlog_failure AS f (consumer, position, attempts, error) VALUES (%s, %s, 1, %s)
           ON CONFLICT (consumer, position) DO UPDATE SET attempts = f.attempts + 1, error = excluded.error,
                                                          failed_at = clock_timestamp()
           RETURNING attempts""",
        [consumer, event.position, message],
    )
    log.error("projection_event_failed", consumer=consumer, position=event.position, attempts=attempts, exc_info=error)
    if attempts < ATTEMPTS:
        return False
    parked = EventParked(consumer=consumer, parked_position=event.position, error=message)
    identity = consumer_event_id(consumer=consumer, position=event.position)
    append(shop_id=event.shop_id, events=[NewEvent(event=parked, event_id=identity, occurred_at=datetime.now(UTC))])
    query(
        "INSERT INTO eventlog_parked (consumer, position, error) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [consumer, event.position, message],
    )
    return True


def with_retries(events: Sequence[RecordedEvent], projection: Projection) -> list[RecordedEvent]:
    """Put the parked event in the place of each request to retry it, at the request's position."""
    replaced: list[RecordedEvent] = []
    for event in events:
        if event.type != ParkedEventRetried.type:
            replaced.append(event)
        elif event.data["consumer"] == projection.name:
            replaced.append(replace(read_at(event.data["parked_position"]), position=event.position))
    return replaced


def retry_parked(*, consumer: str, position: int) -> None:
    """Ask a consumer to apply a parked event now. The request is an event, so a rebuild does the same."""
    event = read_at(position)
    request = ParkedEventRetried(consumer=consumer, parked_position=position)
    with transaction.atomic():
        append(shop_id=event.shop_id, events=[NewEvent(event=request, occurred_at=datetime.now(UTC))])
        query("DELETE FROM eventlog_failure WHERE consumer = %s AND position = %s", [consumer, position])
        query(
            "UPDATE eventlog_parked SET retried_position = (SELECT last FROM eventlog_sequencer) WHERE consumer = %s AND position = %s",
            [consumer, position],
        )


def checkpoint_read(consumer: str) -> int:
    """Where a consumer that works outside the transaction (trainer, embedder) stands; 0 when it is new."""
    return int(scalar("SELECT position FROM eventlog_checkpoint WHERE consumer = %s", [consumer]) or 0)


def checkpoint_move(*, consumer: str, position: int, to: int) -> None:
    """Move a checkpoint by compare-and-set, inside the caller's transaction. Raises LostClaim when another moved it."""
    query("INSERT INTO eventlog_checkpoint (consumer) VALUES (%s) ON CONFLICT DO NOTHING", [consumer])
    claimed = rows(
        "UPDATE eventlog_checkpoint SET position = %s WHERE consumer = %s AND position = %s RETURNING 1", [to, consumer, position]
    )
    if len(claimed) != 1:
        raise LostClaim(f"{consumer} is no longer at position {position}")
    query("INSERT INTO eventlog_drain (consumer, from_position, to_position) VALUES (%s, %s, %s)", [consumer, position, to])

