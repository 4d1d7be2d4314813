"""What operators say of lists: rules that begin and end, and how lists are arranged besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eventlog.events import Event

ARRANGEMENT_STREAM = "arrangement"  # one a shop


def rule_stream(rule_id: str) -> str:
    return f"rule/{rule_id}"


@dataclass(frozen=True, kw_only=True)
class RuleSet(Event):
    """An operator set a rule, or set it anew: the whole rule, not a difference. What it names must all fit.

    `kind` is pin (to `rank`), boost (by `factor`) or hide. Without surfaces it counts on all, without a query for all.
    """

    type = "ranking.RuleSet"
    rule_id: str
    kind: str
    rank: int | None = None
    factor: float | None = None
    product_id: str | None = None
    brand: str | None = None
    category: Sequence[str] | None = None  # from the widest on; what lies below is meant too
    query: str | None = None  # as it was written
    context_key: str | None = None
    surfaces: Sequence[str] | None = None
    starts_at: str | None = None  # ISO 8601
    ends_at: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class RuleEnded(Event):
    """An operator ended a rule: it counts no more, whatever its dates say."""

    type = "ranking.RuleEnded"
    rule_id: str


@dataclass(frozen=True, kw_only=True)
class ArrangementSet(Event):
    """An operator said how lists treat stock, variants and replaced products: all of it, not a difference."""

    type = "ranking.ArrangementSet"
    search: Mapping[str, str] = field(default_factory=dict)
    recommendations: Mapping[str, str] = field(default_factory=dict)
