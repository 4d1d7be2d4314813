"""The bodies of the calls about experiments, checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventlog.rejections import rejection_of
from ranking.experiments.settings import BadExperiment, Surface, settings_check

Kind: TypeAlias = Literal["ab", "interleaving"]
Guard: TypeAlias = Literal["ctr", "conversion", "revenue"]
GUARDS: dict[Guard, float] = {"ctr": 0.1, "conversion": 0.2, "revenue": 0.2}
MOST_VARIANTS = 5
Body = TypeVar("Body", bound=BaseModel)
_FORBID = ConfigDict(extra="forbid", strict=True)
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class VariantIn(BaseModel):
    """What some shoppers see; empty settings are what all others see."""

    model_config = _FORBID

    name: Name
    settings: dict[str, Any] = Field(default_factory=dict)
    share: Annotated[float, Field(gt=0, le=1, strict=False)] | None = Field(
        None, description="Of all shoppers; where no variant names one, they have equal shares"
    )


class ExperimentIn(BaseModel):
    """What `POST /v1/experiments` takes. The first variant is control, which the others are compared with."""

    model_config = _FORBID

    name: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]+$")]
    surface: Surface
    kind: Kind = "ab"
    variants: Annotated[list[VariantIn], Field(min_length=2, max_length=MOST_VARIANTS)]
    level: Annotated[float, Field(ge=0.0001, le=0.2, strict=False)] = 0.05
    guards: dict[Guard, Annotated[float, Field(ge=0, lt=1, strict=False)]] | None = Field(
        None, description="By which share of control's figure a variant may be worse before it is stopped"
    )
    seed: Annotated[int, Field(ge=0, lt=2**53)] | None = None


class StopIn(BaseModel):
    """What `POST /v1/experiments/{id}/stop` takes; nothing will do."""

    model_config = _FORBID

    variant: Name | None = Field(None, description="Only this one: its shoppers see what control's see, uncounted")
    detail: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] = ""


def experiment_read(body: object) -> ExperimentIn:
    """Check a body of a start. Raises BadExperiment, which names the field."""
    given = _read(ExperimentIn, body)
    names, shares = [each.name for each in given.variants], [each.share for each in given.variants]
    if len(set(names)) < len(names):
        raise BadExperiment("Each variant has a name of its own.", field="variants")
    if None in shares and any(shares):
        raise BadExperiment("Give each variant its share, or none.", field="variants")
    if sum(share or 0.0 for share in shares) > 1 + 1e-9:
        raise BadExperiment("The shares of all variants add up to 1 at most.", field="variants")
    for number, each in enumerate(given.variants):
        settings_check(given.surface, each.settings, field=f"variants.{number}")
    if given.kind == "interleaving":
        _interleaving_check(given)
    return given


def stop_read(body: object) -> StopIn:
    """Check a body of a stop. Raises BadExperiment."""
    return _read(StopIn, {} if body in (None, "", b"") else body)


def _interleaving_check(given: ExperimentIn) -> None:
    if given.surface != "search" or len(given.variants) != 2:
        raise BadExperiment("Interleaving merges two rankings of a search: name two variants.", field="kind")
    if given.variants[0].settings == given.variants[1].settings:
        raise BadExperiment("Both variants are the same ranking.", field="variants")
    if given.guards:
        raise BadExperiment("An interleaved list is half of each ranking; it has no guards.", field="guards")
    if given.variants[0].share != given.variants[1].share:
        raise BadExperiment("Both rankings have the same part in each list: leave shares out.", field="variants")


def _read(model: type[Body], body: object) -> Body:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        wrong = rejection_of(error, model=model)
        raise BadExperiment(wrong.detail, field=wrong.field) from error
