"""A stretch of the log, read once and served to every projection that stands in it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection

from eventlog.events import RecordedEvent
from eventlog.selectors import read

AHEAD = 10_000


class Window:
    """The newest stretch read. Events never change, so that it outlives the transaction that read it."""

    def __init__(self, *, types: Collection[str]) -> None:
        self._types = frozenset(types)
        self._after = self._to = 0
        self._events: list[RecordedEvent] = []

    def read(self, *, after: int, to: int, last: int) -> list[RecordedEvent]:
        """Return the events of the window's types at after < p <= to; `last` is the end of the log.

        Raises LogDamaged when there is a hole.
        """
        if not self._after <= after < to <= self._to:
            ahead = max(to, min(last, after + AHEAD))
            self._events = read(after=after, to=ahead, types=self._types)
            self._after, self._to = after, ahead
        start = bisect_right(self._events, after, key=lambda event: event.position)
        end = bisect_right(self._events, to, key=lambda event: event.position)
        return self._events[start:end]
