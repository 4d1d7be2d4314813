"""What the bandit records: how an operator lets a surface choose, and what it was estimated to earn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eventlog.events import Event


def bandit_stream(surface: str) -> str:
    return f"bandit/{surface}"


@dataclass(frozen=True, kw_only=True)
class BanditSet(Event):
    """An operator said how a surface chooses among its arms: the bandit's share of exploration and the arms that it does not
    show, or the one arm that is shown always instead of a bandit.

    `estimate` is what the log says this earns, as `manage.py evaluate_policy` prints it; `forced` why it was set without,
    or against it.
    """

    type = "ranking.BanditSet"
    surface: str
    explore: float
    fixed: str | None = None
    off: list[str]
    estimate: dict[str, Any] | None = None
    forced: str | None = None
