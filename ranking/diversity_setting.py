"""How varied each surface's lists are: mild by default, and what an operator said over that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventlog.database import rows
from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.rejections import rejection_of
from eventlog.selectors import heads
from eventlog.services import append
from ranking.weights.events import DiversitySet, diversity_stream

Surface: TypeAlias = Literal["home", "product", "basket"]
GroupBy: TypeAlias = Literal["brand", "category"]
SURFACES: tuple[Surface, ...] = get_args(Surface)


class BadDiversity(FreshetError):
    """The body is {"surface": "home", "strength": 0.2, "group_by": "brand", "most_per_group": 4}."""

    code = "bad_diversity"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversityOptions:
    """As `ranking.diversity.diversify` takes them. A group is a product's brand, or its last category."""

    strength: float
    group_by: GroupBy = "category"
    most_per_group: float | None = None


# mild: see bench/diversity.py for what each strength costs and gives
DIVERSITY: Mapping[Surface, DiversityOptions] = MappingProxyType({
    # who comes to the shop may want anything: half a page of one category is enough
    "home": DiversityOptions(strength=0.2, most_per_group=0.5),
    # beside a product, what is like it is what is asked for
    "product": DiversityOptions(strength=0.1),
    "basket": DiversityOptions(strength=0.1, most_per_group=0.5),
})  # fmt: skip


class DiversityIn(BaseModel):
    """The body of `PUT /v1/diversity`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    surface: Surface
    strength: Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)]
    group_by: GroupBy = "category"
    most_per_group: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None


def diversity_of(*, shop_id: int, surface: Surface) -> DiversityOptions:
    """What holds on a surface of a shop."""
    return diversities(shop_id=shop_id)[surface]


def diversities(*, shop_id: int) -> dict[Surface, DiversityOptions]:
    """What holds on every surface of a shop, by what the projection `diversity` has seen."""
    sql = "SELECT surface, strength, group_by, most_per_group FROM ranking_diversity WHERE shop_id = %s"
    found = {
        surface: DiversityOptions(strength=strength, group_by=group_by, most_per_group=most)
        for surface, strength, group_by, most in rows(sql, [shop_id])
    }
    return {**DIVERSITY, **found}


def diversities_answer(*, shop_id: int) -> dict[str, Any]:
    """As `GET /v1/diversity` shows them."""
    return {"surfaces": {surface: asdict(options) for surface, options in diversities(shop_id=shop_id).items()}}


def diversity_set(*, shop_id: int, body: Any, now: datetime) -> int:
    """Record how varied a surface's lists are to be; the event's row, 0 where they are so already. Raises BadDiversity."""
    try:
        asked = DiversityIn.model_validate(body)
    except ValidationError as error:
        refused = rejection_of(error, model=DiversityIn)
        raise BadDiversity(f"{refused.field or 'The body'}: {refused.detail}", field=refused.field) from None
    stream, state = diversity_stream(asked.surface), asked.model_dump()
    if (heads(shop_id=shop_id, streams=[stream])[stream].state or {}) == state:
        return 0
    # no expected version: of two operators the one that comes second in the log is obeyed
    event = NewEvent(event=DiversitySet(**state), stream=stream, state=state, occurred_at=now)
    (appended,) = append(shop_id=shop_id, events=[event])
    return appended.id or 0
