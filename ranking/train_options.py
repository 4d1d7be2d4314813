"""Which options a shop's versions are trained with: the defaults, and over them what was set for it by an event.

What counts is the state on the head of the shop's stream `train_options`: the next version reads it, and records all its
options with itself. `manage.py train_options` shows and sets them, `manage.py tune --apply` sets what it found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, get_type_hints

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.rejections import rejection_of
from eventlog.selectors import heads
from eventlog.services import append
from ranking.events import TrainOptionsSet
from ranking.learning.options import DEFAULTS, AdapterKind, TrainOptions, as_kind, impossible, options_of_kind
from ranking.registry import ModelVersion, artefact_load

log = structlog.get_logger(__name__)
STREAM = "train_options"

# what a number may be, where it is not enough that it is no less than 0: outside of it training cannot work
BOUNDS: Mapping[str, Mapping[str, float]] = MappingProxyType({
    "rank": {"ge": 1, "le": 256},
    "alpha": {"gt": 0},
    "learning_rate": {"gt": 0, "le": 0.1},
    "projection_rate": {"gt": 0, "le": 1},
    "head_learning_rate": {"ge": 0, "le": 0.1},
    "clip": {"gt": 0},
    "ema": {"ge": 0, "lt": 1},
    "batch": {"ge": 1, "le": 1024},
    "accumulate": {"ge": 1, "le": 1024},
    "epochs": {"gt": 0, "le": 1000},
    "most_steps": {"ge": 1, "le": 10_000},
    "warm_up": {"ge": 0, "le": 1},
    "sampling_power": {"ge": 0, "le": 1},
    "replay": {"ge": 0, "le": 100},
    "pooled_looks": {"gt": 0},
    "inverse_propensity": {"ge": 1},
    "least_overlap": {"ge": 0, "le": 1},
    "threads": {"ge": 1, "le": 256},
    "pool": {"ge": 100},
})  # fmt: skip


class BadTrainOptions(FreshetError):
    """There is no such option of training, or its value is not possible."""

    code = "bad_train_options"


def train_options_of(*, shop_id: int) -> TrainOptions:
    """The options that a shop's next version is trained with."""
    chosen = train_options_chosen(shop_id=shop_id)
    known = {field.name for field in fields(TrainOptions)}
    if unknown := sorted(chosen.keys() - known):  # set under an older Freshet; versions must go on being trained
        log.warning("train_options_unknown", shop_id=shop_id, names=unknown)
    return _over_defaults({name: value for name, value in chosen.items() if name in known})


def line_options(parent: ModelVersion) -> TrainOptions:
    """Those that the next version after a parent is trained with: a line keeps its kind of adapter."""
    options, kind = train_options_of(shop_id=parent.shop_id), line_kind(parent)
    return as_kind(options, kind) if kind else options


def line_kind(version: ModelVersion) -> AdapterKind | None:
    """What moves in a line; None where nothing has moved yet. Loads torch."""
    from ranking.learning.artefact import artefact_read

    kind: AdapterKind | None = artefact_read(artefact_load(version.artefact)).adapter.get("kind")
    return kind


def train_options_chosen(*, shop_id: int) -> dict[str, Any]:
    """What was set for a shop over the defaults."""
    state = heads(shop_id=shop_id, streams=[STREAM])[STREAM].state or {}
    return dict(state.get("options", {}))


def train_options_set(*, shop_id: int, options: Mapping[str, Any], reason: str, now: datetime) -> TrainOptions:
    """Train a shop's versions with these options over the defaults from now on, none but these; return all of them.

    Raises BadTrainOptions, ConcurrentChange.
    """
    checked = train_options_checked(options)
    head = heads(shop_id=shop_id, streams=[STREAM])[STREAM]
    if (head.state or {}).get("options", {}) != dict(options):
        event = TrainOptionsSet(options=dict(options), reason=reason)
        new = NewEvent(
            event=event, stream=STREAM, expected_version=head.version, state={"options": dict(options)}, occurred_at=now
        )
        append(shop_id=shop_id, events=[new])
    return checked


def train_options_checked(options: Mapping[str, Any]) -> TrainOptions:
    """All options with these over the defaults. Raises BadTrainOptions with the option and what was expected."""
    try:
        _INPUT.model_validate(dict(options))
    except ValidationError as error:
        refused = rejection_of(error, model=_INPUT)
        raise BadTrainOptions(refused.detail, field=refused.field) from None
    found = _over_defaults(options)
    for wrong in impossible(found):
        raise BadTrainOptions(f"{wrong.option} {wrong.reason}.", field=wrong.option)
    return found


def _over_defaults(chosen: Mapping[str, Any]) -> TrainOptions:
    return replace(options_of_kind(chosen.get("adapter", DEFAULTS.adapter)), **chosen)


def _input() -> type[BaseModel]:
    members: dict[str, Any] = {}
    for name, hint in get_type_hints(TrainOptions).items():
        limits: dict[str, Any] = dict(BOUNDS.get(name, {"ge": 0})) if hint in (int, float) else {}
        if hint is float:
            limits["allow_inf_nan"] = False
        members[name] = (hint, Field(getattr(DEFAULTS, name), **limits))
    return create_model("TrainOptionsIn", __config__=ConfigDict(extra="forbid", strict=True), **members)


_INPUT = _input()
