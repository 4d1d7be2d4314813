"""What happens to experiments, as facts. Starting and stopping stand in one stream a surface: it has one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eventlog.events import Event


def surface_stream(surface: str) -> str:
    return f"experiments/{surface}"


@dataclass(frozen=True, kw_only=True)
class ExperimentStarted(Event):
    """From here on the surface shows its shoppers the variants, each the one that the seed and its hash give.

    `variants` are {"name", "settings", "share"}, control first; `guards` say by which share of control's figure a variant
    may be worse before it is stopped; all intervals of the experiment together are wrong with the chance `level` at most.
    """

    type = "ranking.ExperimentStarted"
    experiment: str
    name: str
    surface: str
    kind: str  # ab, interleaving
    variants: list[dict[str, Any]]
    seed: int
    level: float
    guards: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ExperimentStopped(Event):
    """An experiment ended, and its surface is as without it; or one variant did, whose shoppers see what control's see.

    `figures` are those that stopped it, where figures did.
    """

    type = "ranking.ExperimentStopped"
    experiment: str
    reason: str  # operator, guard_rail, model_gone
    detail: str
    variant: str | None = None
    figures: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ExperimentRead(Event):
    """How an experiment stood when all up to a position of the log was counted."""

    type = "ranking.ExperimentRead"
    experiment: str
    position: int
    requests: int
    figures: dict[str, Any]
