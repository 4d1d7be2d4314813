"""What shoppers saw and did, as facts of no stream. Who it was lies sealed beside, under the shopper's key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from eventlog.events import Event

InteractionKind: TypeAlias = Literal["view", "click", "add_to_cart", "purchase", "favourite", "dismiss"]
INTERACTION_KINDS: tuple[InteractionKind, ...] = get_args(InteractionKind)


@dataclass(frozen=True, kw_only=True)
class ImpressionRecorded(Event):
    """Products were shown, in this order.

    `context` is {"kind", "key", "text"}; `ranking` is {"ref", "position", "at", "model", "arm", "propensity"}, taken
    from the verified token of the answer that was shown (`at`: when it was made, in seconds since 1970), with "experiment"
    ("<id>:<variant>") when it counts in one and "teams" when it was interleaved; `first_rank` is the rank of the first
    item, from 1.
    """

    type = "feedback.ImpressionRecorded"
    items: list[str]
    first_rank: int
    context: dict[str, str] | None = None
    ranking: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class InteractionRecorded(Event):
    """A shopper did something with a product; `context` and `ranking` as in ImpressionRecorded."""

    type = "feedback.InteractionRecorded"
    kind: InteractionKind
    product_id: str
    context: dict[str, str] | None = None
    rank: int | None = None
    ranking: dict[str, Any] | None = None
    quantity: int | None = None
    price: float | None = None


@dataclass(frozen=True, kw_only=True)
class ShopperErased(Event):
    """The key and the mapping of a subject were destroyed: nobody can say any more who it was. Projections unlink it."""

    type = "feedback.ShopperErased"
    subject_id: str
