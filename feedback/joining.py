"""The click-through join: which interactions followed from which impression, and when that is settled. Pure, no I/O.

Time is the effective time of the shop's feedback and clock ticks, in log order, so that a replay settles alike. An
impression closes at the first position whose time reaches shown_at + window, with the interactions that came before
that position; one that comes later is a positive of its own. An interaction may come before its impression: it waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Shown:
    """An open impression. Fields in the order of the columns of feedback_open_impression."""

    position: int
    due_at: datetime
    context_kind: str | None
    context_key: str | None
    context_text: str | None
    items: Sequence[str]
    first_rank: int
    ranking_ref: str
    shown_at: datetime
    subject_id: UUID | None


@dataclass(frozen=True, slots=True)
class Acted:
    """An interaction, which may have to wait. Fields in the order of the columns of feedback_open_interaction."""

    position: int
    due_at: datetime
    kind: str
    product_id: str
    context_kind: str | None
    context_key: str | None
    context_text: str | None
    rank: int | None
    ranking_ref: str | None
    at: datetime
    subject_id: UUID | None


@dataclass(frozen=True, slots=True)
class ClickThrough:
    """A settled one. Fields in the order of the columns of feedback_clickthrough, but for the shop."""

    impression_position: int
    closed_position: int
    context_kind: str | None
    context_key: str | None
    context_text: str | None
    items: Sequence[str]
    first_rank: int | None
    ranking_ref: str | None
    outcomes: dict[str, list[str]]
    shown_at: datetime
    implied: bool
    late: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """One position of a shop's log: its effective time, and what happened (None: only time passed)."""

    position: int
    at: datetime
    what: Shown | Acted | None


Due: TypeAlias = tuple[datetime, int, Shown | Acted]


@dataclass(slots=True)
class Join:
    """A shop's open impressions and waiting interactions by ranking, and what of these rankings has closed."""

    impressions: dict[str, list[Shown]] = field(default_factory=dict)
    interactions: dict[str, list[Acted]] = field(default_factory=dict)
    closed_items: dict[str, set[str]] = field(default_factory=dict)
    due: list[Due] = field(default_factory=list)
    settled: list[ClickThrough] = field(default_factory=list)

    @classmethod
    def of(
        cls, impressions: Iterable[Shown], interactions: Iterable[Acted], closed: Iterable[tuple[str, Sequence[str]]]
    ) -> Join:
        """Start from stored state."""
        join = cls()
        for impression in impressions:
            join._open(impression)
        for interaction in interactions:
            join._wait(interaction)
        for ref, items in closed:
            join.closed_items.setdefault(ref, set()).update(items)
        heapify(join.due)
        return join

    def advance(self, moment: Moment) -> None:
        """Close what is due by this position's time, then take in what happened there."""
        while self.due and self.due[0][0] <= moment.at:
            self._settle(heappop(self.due)[2], moment.position)
        if isinstance(moment.what, Shown):
            self._open(moment.what)
        elif moment.what is not None:
            self._take(moment.what)

    def _open(self, impression: Shown) -> None:
        self.impressions.setdefault(impression.ranking_ref, []).append(impression)
        heappush(self.due, (impression.due_at, impression.position, impression))

    def _take(self, interaction: Acted) -> None:
        ref = interaction.ranking_ref
        if ref is None:
            if interaction.context_key is not None:
                self.settled.append(_implied(interaction, at=interaction.position, late=False))
        elif self._owner(interaction) is None and interaction.product_id in self.closed_items.get(ref, ()):
            self.settled.append(_implied(interaction, at=interaction.position, late=True))
        else:
            self._wait(interaction)

    def _wait(self, interaction: Acted) -> None:
        assert interaction.ranking_ref is not None  # without a ranking there is nothing to wait for
        self.interactions.setdefault(interaction.ranking_ref, []).append(interaction)
        heappush(self.due, (interaction.due_at, interaction.position, interaction))

    def _settle(self, what: Shown | Acted, position: int) -> None:
        if isinstance(what, Shown):
            self._close(what, position)
        elif what in self.interactions.get(what.ranking_ref or "", ()) and self._owner(what) is None:
            self.interactions[what.ranking_ref or ""].remove(what)
            self.settled.append(_implied(what, at=position, late=False))

    def _close(self, impression: Shown, position: int) -> None:
        ref = impression.ranking_ref
        waiting = self.interactions.get(ref, [])
        own = [each for each in waiting if self._owner(each) is impression]
        outcomes: dict[str, list[str]] = {}
        for each in sorted(own, key=lambda interaction: interaction.position):
            waiting.remove(each)
            outcomes.setdefault(each.product_id, []).append(each.kind)
        self.impressions[ref].remove(impression)
        self.closed_items.setdefault(ref, set()).update(impression.items)
        self.settled.append(_closed(impression, position, outcomes))

    def _owner(self, interaction: Acted) -> Shown | None:
        """The open impression that it follows from; of an answer shown twice, the last time before it."""
        possible = [
            each for each in self.impressions.get(interaction.ranking_ref or "", ()) if _fits(each, interaction)
        ]
        return max(
            possible, key=lambda each: (each.shown_at <= interaction.at, each.shown_at, each.position), default=None
        )


def _fits(impression: Shown, interaction: Acted) -> bool:
    """Same product, and not another's shopper: a shop may keep an answer and show it to many."""
    same = impression.subject_id is None or interaction.subject_id in {None, impression.subject_id}
    return same and interaction.product_id in impression.items


def _closed(impression: Shown, position: int, outcomes: dict[str, list[str]]) -> ClickThrough:
    return ClickThrough(
        impression_position=impression.position,
        closed_position=position,
        context_kind=impression.context_kind,
        context_key=impression.context_key,
        context_text=impression.context_text,
        items=impression.items,
        first_rank=impression.first_rank,
        ranking_ref=impression.ranking_ref,
        outcomes=outcomes,
        shown_at=impression.shown_at,
        implied=False,
        late=False,
    )


def _implied(interaction: Acted, *, at: int, late: bool) -> ClickThrough:
    """One positive; what else was shown is not known here."""
    return ClickThrough(
        impression_position=interaction.position,
        closed_position=at,
        context_kind=interaction.context_kind,
        context_key=interaction.context_key,
        context_text=interaction.context_text,
        items=[interaction.product_id],
        first_rank=interaction.rank,
        ranking_ref=interaction.ranking_ref,
        outcomes={interaction.product_id: [interaction.kind]},
        shown_at=interaction.at,
        implied=True,
        late=late,
    )
