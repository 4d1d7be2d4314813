"""The window: whatever stretch is asked for comes out right, and what is there is not read twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog import window
from eventlog.window import CHUNK, KEPT, Window

reads: list[tuple[int, int]] = []


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log whose events are bare positions; it keeps what was read."""
    reads.clear()

    def read(*, after: int, to: int, types: Any, keep_unreadable: bool) -> list[Any]:
        reads.append((after, to))
        return [SimpleNamespace(position=position) for position in range(after + 1, to + 1)]

    monkeypatch.setattr(window, "read", read)


def positions(of: Window, after: int, to: int, last: int) -> list[int]:
    return [event.position for event in of.read(after=after, to=to, last=last)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3 * CHUNK), st.integers(1, 2 * CHUNK)), min_size=1, max_size=8))
def test_every_stretch_comes_out_whole_and_in_order(stretches: list[tuple[int, int]]) -> None:
    one, last = Window(types=()), 0
    for after, length in stretches:
        last = max(last, after + length)  # the log grows

        assert positions(one, after, after + length, last) == list(range(after + 1, after + length + 1))


def test_projections_that_drift_apart_read_each_stretch_once() -> None:
    one = Window(types=())
    for turn in range(4):
        for slow in (1, 2, 5):
            one.read(after=turn * slow * 100, to=(turn + 1) * slow * 100, last=2 * CHUNK)

    assert reads == [(0, CHUNK), (CHUNK, 2 * CHUNK)]


def test_what_was_appended_since_is_read_and_nothing_else() -> None:
    one = Window(types=())
    one.read(after=5, to=10, last=10)
    one.read(after=10, to=12, last=12)

    assert reads == [(5, 10), (10, 12)]


def test_it_forgets_what_was_not_asked_for_lately() -> None:
    one = Window(types=())
    for number in range(KEPT + 1):
        one.read(after=number * CHUNK, to=(number + 1) * CHUNK, last=(number + 1) * CHUNK)
    one.read(after=0, to=CHUNK, last=CHUNK)

    assert reads.count((0, CHUNK)) == 2
