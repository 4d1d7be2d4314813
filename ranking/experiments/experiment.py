"""Experiments as they were started, read from the read model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from eventlog.database import rows
from eventlog.errors import FreshetError


class ExperimentNotFound(FreshetError):
    """There is no such experiment."""

    code = "experiment_not_found"
    status = 404


@dataclass(frozen=True, slots=True)
class Variant:
    """What some shoppers see; settings that are empty are what all others see."""

    name: str
    settings: dict[str, Any]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment; its first variant is control. `stopped` names variants that ended before it."""

    shop_id: int
    id: str
    position: int
    name: str
    surface: str
    kind: str
    variants: Sequence[Variant]
    seed: int
    level: float
    guards: dict[str, float]
    started_at: datetime
    stopped: Sequence[str] = ()
    stopped_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None

    @property
    def control(self) -> Variant:
        return self.variants[0]

    @property
    def rivals(self) -> Sequence[Variant]:
        return self.variants[1:]

    @property
    def state(self) -> str:
        return "running" if self.stopped_at is None else "stopped"


_COLUMNS = """shop_id, id, position, name, surface, kind, variants, seed, level, guards, started_at, stopped, stopped_at,
              reason, detail"""


def experiments_of(*, shop_id: int) -> list[Experiment]:
    """All experiments of a shop, the newest first."""
    sql = f"SELECT {_COLUMNS} FROM ranking_experiment WHERE shop_id = %s ORDER BY position DESC"
    return [_experiment(row) for row in rows(sql, [shop_id])]


def experiments_running(*, shop_id: int) -> list[Experiment]:
    """Those that run, one a surface at most."""
    sql = f"SELECT {_COLUMNS} FROM ranking_experiment WHERE shop_id = %s AND stopped_at IS NULL ORDER BY position"
    return [_experiment(row) for row in rows(sql, [shop_id])]


def experiment_get(*, shop_id: int, id_: str) -> Experiment:
    """One by its id. Raises ExperimentNotFound."""
    found = rows(f"SELECT {_COLUMNS} FROM ranking_experiment WHERE shop_id = %s AND id = %s", [shop_id, id_])
    if not found:
        raise ExperimentNotFound(f"There is no experiment {id_[:100]!r}.", field="id")
    return _experiment(found[0])


def _experiment(row: Sequence[Any]) -> Experiment:
    values = dict(zip((name.strip() for name in _COLUMNS.split(",")), row, strict=True))
    variants = tuple(Variant(**each) for each in orjson.loads(values["variants"]))
    return Experiment(**values | {"variants": variants, "guards": orjson.loads(values["guards"])})
