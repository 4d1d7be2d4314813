"""What a projection is, and the list of those that run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from django.conf import settings
from django.utils.module_loading import import_string

from eventlog.events import RecordedEvent


class Projection(ABC):
    """Turns events into rows of a read model. Its rows and its checkpoint move in one transaction.

    `apply` gets a batch of events of `event_types`, in log order, and writes set-based with unqualified table names (a
    rebuild runs it against fresh tables of the same names). It must give the same rows however the log is cut into
    batches.
    """

    name: ClassVar[str]
    event_types: ClassVar[frozenset[str]]
    tables: ClassVar[tuple[str, ...]]

    @abstractmethod
    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Bring the read model forward by these events."""


@cache
def projections() -> dict[str, Projection]:
    """The running projections by name, in the order in which a drain serves them."""
    found: dict[str, Projection] = {}
    for path in settings.EVENTLOG_PROJECTIONS:
        projection: Projection = import_string(path)
        found[projection.name] = projection
    return found
