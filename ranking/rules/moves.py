"""What moved a product in its list, as `explain` shows it (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranking.rules.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One thing that made a product stand where it stands, as `explain` shows it.

    `kind` is that of the rule `id` (pin, boost), or "replaces" (it took the place of these products), "variants" (it is
    listed instead of these), "out_of_stock" (it went behind).
    """

    kind: str
    id: str | None = None
    rank: int | None = None
    factor: float | None = None
    product_ids: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields that say something."""
        members = {"id": self.id, "kind": self.kind, "rank": self.rank, "factor": self.factor}
        return {name: value for name, value in members.items() if value is not None} | (
            {"product_ids": list(self.product_ids)} if self.product_ids else {}
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """A listed candidate, and what moved it."""

    item: int
    moves: tuple[Move, ...] = ()


def rule_moves(matched: Sequence[Rule], *, pins: bool = True) -> list[Move]:
    """What the rules that mean a product do to it, as `explain` shows it: of several pins the one that counts."""
    moves = [Move(kind="boost", id=rule.id, factor=rule.factor) for rule in matched if rule.kind == "boost"]
    pin = pin_of(matched) if pins else None
    return moves if pin is None else [Move(kind="pin", id=pin.id, rank=pin.rank), *moves]


def pin_of(matched: Sequence[Rule]) -> Rule | None:
    """Of the rules that mean a product, the pin that counts."""
    return next((rule for rule in matched if rule.kind == "pin"), None)
