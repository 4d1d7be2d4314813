"""What an event is: a frozen dataclass with a stable dotted type, how it is stored, and how an old one is read.

Stored rows are never rewritten. A type whose fields change gets the next `schema_version` and an upcaster, a pure
function from the stored data of one version to that of the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar
from uuid import UUID, uuid4, uuid5

import orjson

from eventlog.errors import UnstorableText

type_registry: dict[str, type[Event]] = {}
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # escaped, and not a backslash followed by "u0000"
_upcasters: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fact in the past tense. Subclasses declare `type` and, when it is not 1, `schema_version`."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = type_registry.get(cls.type)
        if known and known.__qualname__ != cls.__qualname__:  # dataclass(slots=True) makes the class twice
            raise TypeError(f"two events are called {cls.type}: {known.__qualname__}, {cls.__qualname__}")
        type_registry[cls.type] = cls

    def data(self) -> dict[str, Any]:
        """Return what is stored: the fields that hold something."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event about to be appended.

    `stream` None makes it a stream-less fact. `expected_version` is the stream's version before this event (None: any);
    `state` replaces the decision state on the stream's head row (None: keep).
    """

    event: Event
    occurred_at: datetime
    event_id: UUID = field(default_factory=uuid4)
    stream: str | None = None
    expected_version: int | None = None
    state: dict[str, Any] | None = None
    personal: bytes | None = None
    subject_id: UUID | None = None
    causation_id: UUID | None = None
    content_hash: bytes | None = None

    @cached_property
    def payload(self) -> bytes:
        """The data as JSON text. Raises UnstorableText."""
        try:
            text = orjson.dumps(self.event.data(), option=orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError as error:
            if "surrogates" in str(error):
                raise UnstorableText from error
            raise
        if b"\\u0000" in text and _NUL.search(text):
            raise UnstorableText
        return text

    def hash(self) -> bytes:
        """Identify the content, so that a known event id with other content is told apart from a repeat."""
        if self.content_hash is not None:
            return self.content_hash
        content = self.event.type.encode() + b"\0" + self.payload
        if self.stream is not None:
            content += b"\0" + self.stream.encode()
        return blake2b(content, digest_size=16).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedEvent:
    """An event as read from the log, upcast to the newest schema version of its type.

    `unreadable` says why it could not be upcast, where a reader asked to have such an event all the same; `data` is empty.
    """

    position: int
    id: int
    shop_id: int
    stream: str | None
    version: int | None
    type: str
    data: dict[str, Any]
    personal: bytes | None
    subject_id: UUID | None
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    unreadable: str | None = None

    @property
    def effective_at(self) -> datetime:
        """When it counts from: never later than when it was recorded, whatever the sender's clock says."""
        return min(self.occurred_at, self.recorded_at)


def upcaster(
    event_type: str, *, from_version: int
) -> Callable[[Callable[[dict[str, Any]], dict[str, Any]]], Callable[[dict[str, Any]], dict[str, Any]]]:
    """Register a pure function from the data of `from_version` to that of the next version."""

    def register(function: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        _upcasters[event_type, from_version] = function
        return function

    return register


def upcast(event_type: str, schema_version: int, data: dict[str, Any]) -> dict[str, Any]:
    """Bring stored data to the newest schema version of its type, one version at a time."""
    while function := _upcasters.get((event_type, schema_version)):
        data = function(data)
        schema_version += 1
    return data


def consumer_event_id(*, consumer: str, position: int, n: int = 0) -> UUID:
    """Name an event that a consumer appends, so that trying again appends nothing new."""
    return uuid5(_CONSUMERS, f"{consumer}/{position}/{n}")


_CONSUMERS = UUID("6f1c1d0e-52a4-5c0b-9a55-0f4b1d0a7a11")


@dataclass(frozen=True, kw_only=True)
class EventParked(Event):
    """A consumer could not apply an event after several attempts and goes on without it."""

    type = "eventlog.EventParked"
    consumer: str
    parked_position: int
    error: str


@dataclass(frozen=True, kw_only=True)
class ParkedEventRetried(Event):
    """An operator asks a consumer to apply a parked event now, at this event's own position."""

    type = "eventlog.ParkedEventRetried"
    consumer: str
    parked_position: int


@dataclass(frozen=True, kw_only=True)
class ClockTicked(Event):
    """Time passed in a quiet shop: what closes by time closes at a position of the log."""

    type = "eventlog.ClockTicked"
