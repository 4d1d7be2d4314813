"""Consuming: read by position, apply, move the checkpoint in the same transaction; park what cannot be applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic, sleep

import psycopg
import structlog
from django.db import OperationalError, transaction

from eventlog.archives import ArchiveDamaged, release
from eventlog.database import query, rows, scalar
from eventlog.errors import FreshetError, LogDamaged, LostClaim, UnreadableEvent
from eventlog.events import EventParked, NewEvent, ParkedEventRetried, RecordedEvent, consumer_event_id
from eventlog.projection import Projection, projections
from eventlog.selectors import read_at
from eventlog.services import append, sequence
from eventlog.window import Window

log = structlog.get_logger(__name__)
ATTEMPTS = 3  # an event that fails this often is parked: once may be a deadlock, twice a coincidence
BATCH = 10_000  # the more a turn takes, the fewer round trips an event costs
SMALLEST_BATCH = 500
TURN_SECONDS = 0.25  # about what one projection's batch may take while others wait
LONGEST_TURN_SECONDS = 2.0  # the same of one that does not keep up, if all of a pass takes twice as long
# the connection, a lock, the disk: not the event's fault
_STORAGE_ERRORS = (OperationalError, psycopg.OperationalError)


class NotParked(FreshetError):
    """No event of this consumer is parked at this position."""

    code = "not_parked"
    status = 404


def sequence_and_drain(*, should_stop: Callable[[], bool] = lambda: False, linger_seconds: float = 0.0) -> int:
    """Sequence what is pending and drain every projection, again and again until a pass finds nothing.

    With `linger_seconds` it must find nothing twice, so long apart.
    Returns how many events were sequenced. Projections are served in turn, in their order, a batch each of about
    TURN_SECONDS, so that none starves another; one that falls behind may take half of the time, for a busy machine makes
    a pass of all others so long that a turn a pass is too little. A stretch of the log is read once for all that stand at
    its start.
    Raises LogDamaged at once, and a storage error or ArchiveDamaged when the others of its pass were served.
    """
    every = projections()
    window = Window(types={ParkedEventRetried.type}.union(*(projection.event_types for projection in every.values())))
    sizes = dict.fromkeys(every, BATCH // 8)
    failure: Exception | None = None
    sequenced, lingered, pass_seconds = 0, linger_seconds == 0, 0.0
    while not should_stop() and failure is None:
        begun = monotonic()
        new = max(sequence(), 0)
        moved = 0
        for name in every if new else _behind(list(every)):
            started, done = monotonic(), 0
            try:
                done = drain(every[name], batch=sizes[name], window=window)
            except (*_STORAGE_ERRORS, ArchiveDamaged) as error:
                log.warning("drain_failed", consumer=name, error=repr(error))
                failure = error
            moved += done
            took = monotonic() - started
            turn = _turn_seconds(pass_seconds, is_behind=done >= sizes[name])
            sizes[name] = _next_size(sizes[name], took, turn) if len(every) > 1 else BATCH
            if took > TURN_SECONDS / 2:
                new += max(sequence(), 0)  # what came meanwhile need not wait for the next pass
        sequenced, pass_seconds = sequenced + new, monotonic() - begun
        if new or moved:
            lingered = linger_seconds == 0
        elif lingered:
            break
        else:
            sleep(linger_seconds)
            lingered = True
    release()
    if failure is not None:
        raise failure
    return sequenced


def _turn_seconds(pass_seconds: float, *, is_behind: bool) -> float:
    """How long a projection's next batch may take, given what the last pass of all took."""
    return max(TURN_SECONDS, min(LONGEST_TURN_SECONDS, pass_seconds / 2)) if is_behind else TURN_SECONDS


def _next_size(size: int, took: float, turn: float) -> int:
    """The batch that takes about a turn, given what the last one took; never so small that round trips are all it does."""
    return min(BATCH, 2 * size, max(SMALLEST_BATCH, int(size * turn / max(took, 0.001))))


def _behind(consumers: list[str]) -> list[str]:
    """Those whose checkpoint is not at the end of the log, in the order given."""
    sql = "SELECT c.consumer FROM eventlog_checkpoint c JOIN eventlog_sequencer s ON c.position >= s.last"
    current = {consumer for (consumer,) in rows(sql)}
    return [consumer for consumer in consumers if consumer not in current]


def drain(projection: Projection, *, batch: int = BATCH, window: Window | None = None) -> int:
    """Apply the next batch to a projection; return how many positions its checkpoint moved.

    0 when there is nothing new, or when another session is at it.
    """
    window = window or Window(types=projection.event_types | {ParkedEventRetried.type})
    try:
        with transaction.atomic():
            return _drain(projection, _apply_at_once, batch=batch, window=window)
    except (LogDamaged, ArchiveDamaged):
        raise
    except Exception as error:
        if _is_storage_fault(error):
            raise
        log.warning("projection_batch_failed", consumer=projection.name, error=repr(error))
    with transaction.atomic():
        return _drain(projection, _apply_one_by_one, batch=batch, window=window)


def _drain(projection: Projection, apply: Callable[..., int], *, batch: int, window: Window) -> int:
    claimed = _claim(projection.name)
    if claimed is None:
        return 0
    position, last = claimed
    to = min(last, position + batch)
    if to <= position:
        return 0
    events = with_retries(window.read(after=position, to=to, last=last), projection)
    reached = apply(projection, events, after=position, to=to) if events else to
    if reached > position:
        _move(projection.name, position, reached, note=bool(events))
    return reached - position


_CLAIM = """
SELECT c.position, s.last FROM eventlog_checkpoint c, eventlog_sequencer s
 WHERE c.consumer = %s FOR UPDATE OF c SKIP LOCKED"""


def _claim(consumer: str) -> tuple[int, int] | None:
    """Lock the consumer's checkpoint; it and the end of the log, None when another session holds it."""
    row = query(_CLAIM, [consumer]).fetchone()
    if row is None and not scalar("SELECT 1 FROM eventlog_checkpoint WHERE consumer = %s", [consumer]):
        query("INSERT INTO eventlog_checkpoint (consumer) VALUES (%s) ON CONFLICT DO NOTHING", [consumer])
        row = query(_CLAIM, [consumer]).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


# a failure of an event that has been passed was got over, or is told by eventlog_parked
_MOVE = """
WITH moved AS (UPDATE eventlog_checkpoint SET position = %s WHERE consumer = %s AND position = %s RETURNING *),
     passed AS (DELETE FROM eventlog_failure f USING moved m WHERE f.consumer = m.consumer AND f.position <= m.position)
INSERT INTO eventlog_drain (consumer, from_position, to_position) SELECT consumer, %s, %s FROM moved
ON CONFLICT (consumer, to_position) DO UPDATE SET from_position = excluded.from_position, committed_at = clock_timestamp()
RETURNING 1"""


def _move(consumer: str, position: int, to: int, *, note: bool) -> None:
    """Move a claimed checkpoint; note it when something became visible by it (else the notes would outgrow the log)."""
    if note:
        query(_MOVE, [to, consumer, position, position, to])
    else:
        query("UPDATE eventlog_checkpoint SET position = %s WHERE consumer = %s", [to, consumer])


def _apply_at_once(projection: Projection, events: Sequence[RecordedEvent], *, after: int, to: int) -> int:
    apply_readable(projection, events)
    return to


def apply_readable(projection: Projection, events: Sequence[RecordedEvent]) -> None:
    """Apply events. Raises UnreadableEvent when one could not be upcast."""
    for event in events:
        if event.unreadable:
            raise UnreadableEvent(f"The event at position {event.position} ({event.type}) {event.unreadable}.")
    projection.apply(events)


def _apply_one_by_one(projection: Projection, events: Sequence[RecordedEvent], *, after: int, to: int) -> int:
    """Apply what can be applied; the position reached, short of `to` when an event failed and is to be tried again."""
    for event in events:
        try:
            with transaction.atomic():
                apply_readable(projection, [event])
        except Exception as error:
            if _is_storage_fault(error):
                raise  # nothing is counted
            if not _park_after_attempts(projection.name, event, error):
                return max(event.position - 1, after)
    return to


def _is_storage_fault(error: Exception) -> bool:
    """Whether trying again may help: the connection, a lock, the disk. A value beyond a limit of PostgreSQL's (an index
    row, a column) fails for ever; psycopg counts it as operational, but it is the event's fault."""
    cause = error.__cause__ if isinstance(error, OperationalError) else error
    return isinstance(error, _STORAGE_ERRORS) and not isinstance(cause, psycopg.errors.ProgramLimitExceeded)


def _park_after_attempts(consumer: str, event: RecordedEvent, error: Exception) -> bool:
    """Count a failure; park the event when it failed often enough and say so."""
    message = f"{type(error).__name__}: {error}"[:2000].replace("\0", "").encode(errors="replace").decode()
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
    """Keep what the projection consumes, and put the parked event in the place of each request to retry it, at the
    request's position."""
    replaced: list[RecordedEvent] = []
    for event in events:
        if event.type in projection.event_types:
            replaced.append(event)
        elif event.type == ParkedEventRetried.type and event.data["consumer"] == projection.name:
            replaced.append(replace(_parked_event(event), position=event.position))
    return replaced


def _parked_event(retry: RecordedEvent) -> RecordedEvent:
    """The event a retry is about; a retry that was parked in its turn stands for the same event."""
    event = retry
    while event.type == ParkedEventRetried.type:
        event = read_at(event.data["parked_position"], keep_unreadable=True)
    return event


def retry_parked(*, consumer: str, position: int) -> None:
    """Ask a consumer to apply a parked event now. The request is an event, so a rebuild does the same.

    Raises NotParked.
    """
    with transaction.atomic():
        waiting = rows(
            """UPDATE eventlog_parked SET retried_position = (SELECT last FROM eventlog_sequencer)
                WHERE consumer = %s AND position = %s AND retried_position IS NULL RETURNING 1""",
            [consumer, position],
        )
        if not waiting:
            raise NotParked(f"{consumer} has parked nothing at position {position}.", field="position")
        request = ParkedEventRetried(consumer=consumer, parked_position=position)
        append(
            shop_id=read_at(position, keep_unreadable=True).shop_id,
            events=[NewEvent(event=request, occurred_at=datetime.now(UTC))],
        )
        query("DELETE FROM eventlog_failure WHERE consumer = %s AND position = %s", [consumer, position])


def checkpoint_read(consumer: str) -> int:
    """Where a consumer that works outside the transaction (trainer, embedder) stands; 0 when it is new."""
    return int(scalar("SELECT position FROM eventlog_checkpoint WHERE consumer = %s", [consumer]) or 0)


def checkpoint_move(*, consumer: str, position: int, to: int) -> None:
    """Move a checkpoint by compare-and-set, inside the caller's transaction; backwards too, for a consumer that is to read
    again. Raises LostClaim when another moved it."""
    query("INSERT INTO eventlog_checkpoint (consumer) VALUES (%s) ON CONFLICT DO NOTHING", [consumer])
    if len(rows(_MOVE, [to, consumer, position, position, to])) != 1:
        raise LostClaim(f"{consumer} is no longer at position {position}")
