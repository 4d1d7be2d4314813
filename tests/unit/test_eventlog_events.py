"""Events as data: what is stored, how it is told apart, how an old one is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from eventlog import events
from eventlog.errors import UnstorableText
from eventlog.events import Event, NewEvent, RecordedEvent, consumer_event_id, type_registry, upcast, upcaster

TEN_O_CLOCK = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Greeted(Event):
    """Somebody was greeted."""

    type = "tests.Greeted"
    name: str
    title: str | None = None


def new(name: str = "alice", **more: Any) -> NewEvent:
    return NewEvent(event=Greeted(name=name), occurred_at=TEN_O_CLOCK, **more)


@pytest.fixture
def upcasters() -> Iterator[None]:
    before = dict(events._upcasters)
    yield
    events._upcasters.clear()
    events._upcasters.update(before)


def test_fields_that_hold_nothing_are_not_stored() -> None:
    assert new().payload == b'{"name":"alice"}'


def test_other_content_has_another_hash_and_a_repeat_has_the_same() -> None:
    assert new("alice").hash() == new("alice").hash()
    assert new("alice").hash() != new("bob").hash()


def test_an_event_of_another_type_with_equal_fields_has_another_hash() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Dismissed(Event):
        type = "tests.Dismissed"
        name: str

    try:
        assert NewEvent(event=Dismissed(name="alice"), occurred_at=TEN_O_CLOCK).hash() != new("alice").hash()
    finally:
        del type_registry["tests.Dismissed"]


def test_two_events_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match=r"tests\.Greeted"):

        @dataclass(frozen=True, kw_only=True)
        class Other(Event):
            type = "tests.Greeted"


@pytest.mark.parametrize("text", ["a\0b", "\0", "back\\\0slash", "half \ud83d of a pair"])
def test_text_that_postgresql_cannot_store_is_refused_before_it_gets_there(text: str) -> None:
    with pytest.raises(UnstorableText):
        _ = new(text).payload


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "C:\\u0000", "🙂", "مرحبا", "茶杯"])
def test_text_that_only_looks_like_it_is_stored_as_it_is(text: str) -> None:
    assert orjson.loads(new(text).payload) == {"name": text}


def test_an_old_event_is_brought_forward_one_version_at_a_time(upcasters: None) -> None:
    @upcaster("tests.Greeted", from_version=1)
    def split_name(data: dict[str, Any]) -> dict[str, Any]:
        title, _, name = data["name"].rpartition(" ")
        return {"name": name, "title": title}

    @upcaster("tests.Greeted", from_version=2)
    def add_language(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "language": "en"}

    golden = {  # schema version, as stored -> as read
        (1, b'{"name":"Dr. Alice"}'): b'{"language":"en","name":"Alice","title":"Dr."}',
        (2, b'{"name":"Alice","title":"Dr."}'): b'{"language":"en","name":"Alice","title":"Dr."}',
        (3, b'{"name":"Alice","title":"Dr.","language":"fr"}'): b'{"language":"fr","name":"Alice","title":"Dr."}',
    }
    for (version, stored), read in golden.items():
        assert orjson.dumps(upcast("tests.Greeted", version, orjson.loads(stored)), option=orjson.OPT_SORT_KEYS) == read


def test_what_a_consumer_appends_has_the_same_id_each_time_it_tries() -> None:
    assert consumer_event_id(consumer="weights", position=7) == consumer_event_id(consumer="weights", position=7)
    assert consumer_event_id(consumer="weights", position=7, n=1) != consumer_event_id(consumer="weights", position=7)
    assert consumer_event_id(consumer="weights", position=7) == UUID("53e1fe3c-a34b-5bf5-990a-307c28961334")


def test_a_clock_that_runs_ahead_gains_nothing_and_an_old_event_keeps_its_age() -> None:
    recorded = RecordedEvent(
        position=1, id=1, shop_id=1, stream=None, version=None, type=Greeted.type, data={}, personal=None, subject_id=None,
        event_id=UUID(int=1), occurred_at=TEN_O_CLOCK + timedelta(days=400), recorded_at=TEN_O_CLOCK,
    )  # fmt: skip
    assert recorded.effective_at == TEN_O_CLOCK
    assert replace(recorded, occurred_at=TEN_O_CLOCK - timedelta(days=9)).effective_at == TEN_O_CLOCK - timedelta(
        days=9
    )
