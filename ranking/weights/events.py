"""What operators said of signals: how much each kind of interaction counts, for how long, and how varied lists are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eventlog.events import Event

SIGNALS_STREAM = "signals"  # one a shop


def preview_stream(name: str) -> str:
    return f"signals/preview/{name}"


def diversity_stream(surface: str) -> str:
    return f"diversity/{surface}"


@dataclass(frozen=True, kw_only=True)
class SignalsSet(Event):
    """From here on the shop's feedback counts by this table, all that was recorded before as well.

    `signals` is the whole table, by the names of `ranking.signals`; `estimate` what the preview of exactly this table
    said, nothing where it was set without one, for which `reason` then says why.
    """

    type = "ranking.SignalsSet"
    signals: dict[str, float]
    estimate: dict[str, Any] | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignalsPreviewed(Event):
    """A past range was answered again under a proposed table, and beside it under the one in force: what that changes."""

    type = "ranking.SignalsPreviewed"
    signals: dict[str, float]
    before: dict[str, float]
    estimate: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DiversitySet(Event):
    """From here on lists of a surface are this varied: `strength` of MMR, 0 for none, and at most so many products of one
    brand or category: below 1 a share of the list, nothing for as many as come."""

    type = "ranking.DiversitySet"
    surface: str
    strength: float
    group_by: str  # brand, category
    most_per_group: float | None = None
