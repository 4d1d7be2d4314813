"""How often a shop learns, as a function of what was said and of what the gate did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ranking.cadence import Cadence, Learning, slowdown

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def cadence(learning: Learning, *, hours_ago: float | None) -> Cadence:
    trained_at = None if hours_ago is None else NOON - timedelta(hours=hours_ago)
    return Cadence(learning=learning, refused_in_a_row=0, trained_at=trained_at)


@pytest.mark.parametrize(("refused", "times"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 4), (5, 8), (6, 8), (1000, 8)])
def test_from_the_third_refusal_in_a_row_each_doubles_what_a_version_waits_for(refused: int, times: int) -> None:
    assert slowdown(refused) == times


@pytest.mark.parametrize(("hours_ago", "due"), [(None, True), (0.0, False), (23.99, False), (24.0, True), (50.0, True)])
def test_daily_is_due_a_day_after_the_newest_version(hours_ago: float | None, due: bool) -> None:
    assert cadence("daily", hours_ago=hours_ago).is_due(NOON) is due


def test_live_is_always_due_and_frozen_never() -> None:
    assert cadence("live", hours_ago=0.0).is_due(NOON)
    assert not cadence("frozen", hours_ago=None).is_due(NOON)
