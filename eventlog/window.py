"""The newest stretches of the log that were read, served to every projection that passes through them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from eventlog.events import RecordedEvent
from eventlog.selectors import read

CHUNK = 1_000  # positions that are read together
KEPT = 24  # chunks: about 80 MB of events at most


@dataclass(slots=True)
class _Chunk:
    """The events at after < p <= to."""

    after: int
    to: int
    events: list[RecordedEvent]


class Window:
    """Chunks of the log, those kept that were asked for last. Events never change, so that it outlives transactions.

    Projections drift apart under load, each in the middle of another stretch. With one stretch for all, each would read
    it anew at its turn: 80 % of the worker's time, when this was measured.
    """

    def __init__(self, *, types: Collection[str]) -> None:
        self._types = frozenset(types)
        self._chunks: OrderedDict[int, _Chunk] = OrderedDict()

    def read(self, *, after: int, to: int, last: int) -> list[RecordedEvent]:
        """Return the events of the window's types at after < p <= to; `last` is the end of the log.

        Raises LogDamaged when there is a hole.
        """
        found: list[RecordedEvent] = []
        for number in range(after // CHUNK, (to - 1) // CHUNK + 1):
            start, end = max(after, number * CHUNK), min(to, (number + 1) * CHUNK)
            chunk = self._chunk(number, after=start, to=end, last=last)
            if chunk.after == start and chunk.to == end:
                found += chunk.events
            else:
                found += [event for event in chunk.events if start < event.position <= end]
        return found

    def _chunk(self, number: int, *, after: int, to: int, last: int) -> _Chunk:
        """Look up or read a chunk at least from `after` to `to`, and as far as the log goes."""
        chunk = self._chunks.get(number)
        ahead = max(to, min(last, (number + 1) * CHUNK))
        if chunk is None or after < chunk.after:
            self._chunks[number] = chunk = _Chunk(after, ahead, read(after=after, to=ahead, types=self._types))
            while len(self._chunks) > KEPT:
                self._chunks.popitem(last=False)
        elif chunk.to < to:
            chunk.events += read(after=chunk.to, to=ahead, types=self._types)
            chunk.to = ahead
        self._chunks.move_to_end(number)
        return chunk
