"""Seeing one's own events applied, for work whose list of what is left is a read model."""

from __future__ import annotations

from time import monotonic, sleep

from django.db import OperationalError

from eventlog.consume import checkpoint_read, drain
from eventlog.database import scalar
from eventlog.projection import Projection
from eventlog.services import sequence

LONGEST_SECONDS = 5.0
TO_HEAD_SECONDS = 30.0
_APPLIED = """
SELECT 1 FROM eventlog_position p JOIN eventlog_checkpoint c ON c.consumer = %s AND c.position >= p.position
 WHERE p.event_id = %s"""


def drain_through(projection: Projection, *, row_id: int) -> bool:
    """Sequence and drain until an appended event (by its row id) is applied; False when it took too long.

    Another session may hold the sequencer or the checkpoint: it does the same work, and is waited for.
    """
    deadline = monotonic() + LONGEST_SECONDS
    while True:
        while sequence() > 0 or drain(projection) > 0:
            pass
        if scalar(_APPLIED, [projection.name, row_id]):
            return True
        if monotonic() > deadline:
            return False
        sleep(0.01)


def drain_to_head(projection: Projection) -> None:
    """Have everything applied that was appended until now, whoever applies it. Raises OperationalError when it takes long."""
    until = monotonic() + TO_HEAD_SECONDS
    while monotonic() < until:
        busy, moved = sequence() < 0, drain(projection)
        if (
            not busy
            and not moved
            and checkpoint_read(projection.name) >= int(scalar("SELECT last FROM eventlog_sequencer"))
        ):
            return
        if not moved:
            sleep(0.01)  # another process is at it
    raise OperationalError(f"the projection {projection.name} does not catch up")
