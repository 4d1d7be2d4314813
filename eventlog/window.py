"""The newest stretches of the log that were read, served to every projection that passes through them."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter

from eventlog.events import RecordedEvent
from eventlog.selectors import read

CHUNK = 1_000  # positions that are read together
KEPT = 24  # chunks: about 80 MB of events at most
_position = attrgetter("position")


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
        parts = _parts(after, to)
        missing = [part for part in parts if not self._has(*part)]
        if missing:  # in one statement, however many chunks: each round trip counts when the machine is busy
            self._load(after=missing[0][1], to=missing[-1][2], last=last)
        found: list[RecordedEvent] = []
        for number, start, end in parts:
            chunk = self._chunks[number]
            self._chunks.move_to_end(number)
            if chunk.after == start and chunk.to == end:
                found += chunk.events
            else:
                found += [event for event in chunk.events if start < event.position <= end]
        while len(self._chunks) > KEPT:
            self._chunks.popitem(last=False)
        return found

    def _has(self, number: int, after: int, to: int) -> bool:
        chunk = self._chunks.get(number)
        return chunk is not None and chunk.after <= after and to <= chunk.to

    def _load(self, *, after: int, to: int, last: int) -> None:
        """Read from `after` to the end of the chunk of `to`, as far as the log goes; what a chunk begins with is kept."""
        begun = self._chunks.get(after // CHUNK)
        if begun is not None and begun.after <= after < begun.to:
            after = begun.to
        to = max(to, min(last, ((to - 1) // CHUNK + 1) * CHUNK))
        events = read(after=after, to=to, types=self._types, keep_unreadable=True)
        for number, start, end in _parts(after, to):
            low, high = (bisect_right(events, edge, key=_position) for edge in (start, end))
            part = events[low:high]
            known = self._chunks.get(number)
            if known is not None and known.to == start:
                known.events += part
                known.to = end
            else:
                self._chunks[number] = _Chunk(start, end, part)


def _parts(after: int, to: int) -> list[tuple[int, int, int]]:
    """Cut a stretch at the edges of chunks: number, after, to of each part."""
    numbers = range(after // CHUNK, (to - 1) // CHUNK + 1)
    return [(number, max(after, number * CHUNK), min(to, (number + 1) * CHUNK)) for number in numbers]
