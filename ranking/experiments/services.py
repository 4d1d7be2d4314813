"""Starting and stopping experiments: check, then append. The head of the surface's stream says whether one runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from re import fullmatch
from secrets import randbits
from typing import Any

from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.selectors import Head, heads
from eventlog.services import append
from ranking.experiments.events import ExperimentStarted, ExperimentStopped, surface_stream
from ranking.experiments.experiment import ExperimentNotFound
from ranking.experiments.inputs import GUARDS, ExperimentIn
from ranking.experiments.settings import SURFACES
from ranking.registry import ModelVersionRefusedToServe, model_get, model_serving


class SurfaceTaken(FreshetError):
    """An experiment runs on this surface: stop it first, or wait for it."""

    code = "surface_taken"
    status = 409


class ExperimentEnded(FreshetError):
    """This experiment, or this variant of it, was stopped before."""

    code = "experiment_ended"
    status = 409


@dataclass(frozen=True, slots=True)
class Started:
    """The id of a new experiment, and a receipt to wait with until serving processes know it."""

    id: str
    receipt: str


def experiment_start(*, shop_id: int, given: ExperimentIn, now: datetime) -> Started:
    """Start an experiment. Raises SurfaceTaken, ModelVersionNotFound, ModelVersionRefusedToServe, ConcurrentChange."""
    head = _head(shop_id, given.surface)
    state = head.state or {"count": 0, "running": None}
    if state["running"]:
        raise SurfaceTaken(f"{state['running']} runs on {given.surface}: stop it first.", field="surface")
    for number, variant in enumerate(given.variants):
        _model_check(shop_id, variant.settings, field=f"variants.{number}.settings.model")
    equal = 1 / len(given.variants)
    id_ = f"{given.surface}-{state['count'] + 1}"
    event = ExperimentStarted(
        experiment=id_, name=given.name, surface=given.surface, kind=given.kind,
        variants=[{"name": each.name, "settings": each.settings, "share": each.share or equal} for each in given.variants],
        seed=randbits(53) if given.seed is None else given.seed, level=given.level,
        guards=_guards(given),
    )  # fmt: skip
    state = {"count": state["count"] + 1, "running": id_, "stopped": [], "variants": [v.name for v in given.variants]}
    return Started(id_, _append(shop_id, given.surface, event, head, state, now))


def experiment_stop(
    *,
    shop_id: int,
    id_: str,
    now: datetime,
    reason: str = "operator",
    detail: str = "",
    variant: str | None = None,
    figures: Mapping[str, Any] | None = None,
) -> str:
    """Stop an experiment, or one variant of it, and return a receipt. With its last rival an experiment ends.

    Raises ExperimentNotFound, ExperimentEnded, ConcurrentChange.
    """
    surface = _surface_of(id_)
    head = _head(shop_id, surface)
    state = head.state or {"count": 0, "running": None}
    number = int(id_.rpartition("-")[2])
    if state["running"] != id_:
        if not 0 < number <= state["count"]:
            raise ExperimentNotFound(f"There is no experiment {id_!r}.", field="id")
        raise ExperimentEnded(field="id")
    stopped, (control, *rivals) = state["stopped"], state["variants"]
    if variant is not None:
        _variant_check(variant, control=control, rivals=rivals, stopped=stopped)
    if variant is not None and set(rivals) - {*stopped, variant}:
        state = state | {"stopped": [*stopped, variant]}
    else:
        variant, state = None, {"count": state["count"], "running": None}
    event = ExperimentStopped(
        experiment=id_, reason=reason, detail=detail, variant=variant, figures=None if figures is None else dict(figures)
    )  # fmt: skip
    return _append(shop_id, surface, event, head, state, now)


def _variant_check(variant: str, *, control: str, rivals: list[str], stopped: list[str]) -> None:
    if variant in stopped:
        raise ExperimentEnded(f"{variant} was stopped before.", field="variant")
    if variant == control:
        raise ExperimentNotFound(
            "Without control there is nothing to compare with: stop the experiment.", field="variant"
        )
    if variant not in rivals:
        raise ExperimentNotFound(f"It has no variant {variant!r}, but {', '.join(rivals)}.", field="variant")


def _guards(given: ExperimentIn) -> dict[str, float]:
    if given.kind == "interleaving":
        return {}
    return {metric: margin for metric, margin in (GUARDS if given.guards is None else given.guards).items()}


def _model_check(shop_id: int, settings: Mapping[str, Any], *, field: str) -> None:
    """A version answers searches only where its major version's vectors are those that are kept current."""
    if (version := settings.get("model")) is None:
        return
    target, serving = model_get(shop_id=shop_id, version=version), model_serving(shop_id=shop_id)
    if target.state == "refused":
        raise ModelVersionRefusedToServe(f"{version} was refused: {target.reason}.", field=field)
    if serving is None or serving.major != target.major:
        raise ModelVersionRefusedToServe(
            f"{version} is of another major version than what serves: promote one of its own first.", field=field
        )


def _surface_of(id_: str) -> str:
    surface, _, number = id_.rpartition("-")
    if surface not in SURFACES or not fullmatch(r"[1-9][0-9]{0,8}", number):
        raise ExperimentNotFound(f"There is no experiment {id_[:100]!r}.", field="id")
    return surface


def _head(shop_id: int, surface: str) -> Head:
    stream = surface_stream(surface)
    return heads(shop_id=shop_id, streams=[stream])[stream]


def _append(
    shop_id: int,
    surface: str,
    event: ExperimentStarted | ExperimentStopped,
    head: Head,
    state: dict[str, Any],
    now: datetime,
) -> str:
    """At the version that was decided on: of two operators at once one is told to look again."""
    new = NewEvent(
        event=event, stream=surface_stream(surface), expected_version=head.version, state=state, occurred_at=now
    )
    (appended,) = append(shop_id=shop_id, events=[new])
    return receipt_make(shop_id=shop_id, row_id=appended.id or 0)
