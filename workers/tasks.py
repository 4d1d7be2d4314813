"""The tasks. Each makes one call into the domain, takes ids only, and names its queue in `workers/celery.py`."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from eventlog.consume import sequence_and_drain
from eventlog.services import make_partitions as log_make_partitions
from workers.celery import app
from workers.wake_up import KEY, broker_client

log = structlog.get_logger(__name__)


@app.task
def drain() -> int:
    """Sequence and drain everything; the key goes first, so that an append after this line sends a wake-up of its own."""
    broker_client().delete(KEY)
    return sequence_and_drain()


@app.task
def make_partitions() -> int:
    """Keep empty partitions ahead of the log."""
    return log_make_partitions()


@app.task
def tick_clock() -> int:
    """Let time pass in quiet shops."""
    from feedback.services import clock_tick

    return clock_tick(now=datetime.now(UTC))
