"""Which options a search varies, and between what: those of TrainOptions that decide how much a range teaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias, get_args

from optuna import Trial

from ranking.learning.options import LossName, TrainOptions


@dataclass(frozen=True, slots=True)
class Real:
    """A number between two others; `log`: as likely from 1e-4 to 1e-3 as from 1e-3 to 1e-2."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number between two others, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words."""

    values: tuple[str, ...]


Space: TypeAlias = Mapping[str, Real | Whole | Choice]

# Not among them: what decides how long a version takes (most_steps, batch) or what its line is (adapter, rank). The
# bounds hold the defaults, and as much beyond them as was ever seen to be of use.
_PROJECTION: Space = MappingProxyType({
    "loss": Choice(get_args(LossName)),
    "projection_rate": Real(5e-3, 5e-2, log=True),
    "ridge": Real(0.03, 3.0, log=True),
    "pooled_looks": Real(0.5, 20.0, log=True),
    "epochs": Real(30.0, 300.0, log=True),
    "hard_negatives": Whole(0, 48),
    "hard_weight": Real(0.1, 2.0, log=True),
    "in_batch_weight": Real(0.0, 1.0),
    "distillation": Real(0.0, 1.0),
    "replay": Real(0.0, 20.0),
    "relation_weight": Real(0.0, 0.5),
})  # fmt: skip
_INSIDE: Space = MappingProxyType({
    "loss": Choice(get_args(LossName)),
    "learning_rate": Real(1e-4, 1e-2, log=True),
    "epochs": Real(1.0, 8.0),
    "sampling_power": Real(0.0, 1.0),
    "hard_negatives": Whole(0, 48),
    "hard_weight": Real(0.1, 2.0, log=True),
    "in_batch_weight": Real(0.05, 1.0, log=True),
    "distillation": Real(0.0, 1.0),
    "ema": Real(0.0, 0.98),
    "replay": Real(0.0, 1.0),
    "relation_weight": Real(0.0, 0.5),
})  # fmt: skip


def space_of(options: TrainOptions) -> Space:
    """What is varied of the kind of adapter that is trained: one behind the tower is held by other options than those inside."""
    if options.adapter == "projection":
        return _PROJECTION
    return {**_INSIDE, "learning_rate": Real(1e-6, 1e-3, log=True)} if options.adapter == "full" else _INSIDE


def suggested(trial: Trial, space: Space) -> dict[str, Any]:
    """What a trial shall try."""
    found: dict[str, Any] = {}
    for name, within in space.items():
        match within:
            case Real(low, high, log):
                found[name] = trial.suggest_float(name, low, high, log=log)
            case Whole(low, high):
                found[name] = trial.suggest_int(name, low, high)
            case Choice(values):
                found[name] = trial.suggest_categorical(name, values)
    return options_of(found)


def options_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a trial's parameters: three digits say all that can be told apart, and can be read and typed."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in params.items()}
