"""The click-through join: which interactions followed from which impression, and when that is settled. Pure, no I/O.

Time is the effective time of the shop's feedback and clock ticks, in log order, so that a replay settles alike. An
impression closes at the first position whose time reaches shown_at + window, with the interactions that came before
that position; one that comes later is a positive of its own. An interaction may come before its impression: it waits.
Of an answer shown several times, an interaction follows from the last time before it; from the first, when it was
before them all (clocks differ).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from operator import attrgetter, itemgetter
from typing import Any, Literal, TypeAlias, TypeVar
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
Anyone: TypeAlias = Literal["anyone"]
Who: TypeAlias = UUID | Anyone | None
ANYONE: Anyone = "anyone"
Key: TypeAlias = tuple[str, str, UUID | None]  # ranking, product, subject
T = TypeVar("T", Shown, Acted)
Line: TypeAlias = list[tuple[datetime, int, T]]  # by time, then by position


@dataclass(frozen=True, slots=True)
class Staying:
    """Of the stored impressions that stay open over all the moments to come, so that they need not be read: when the
    first one was shown that a key's interactions may follow from, and the first such one of nobody known."""

    first: Mapping[Key, datetime] = field(default_factory=dict)
    first_of_nobody: Mapping[tuple[str, str], datetime] = field(default_factory=dict)


@dataclass(slots=True)
class Join:
    """A shop's open impressions and waiting interactions, and what of their rankings has closed.

    An answer may be shown to many (a cached page), so that thousands share a ranking: each step looks at those of one
    shopper and one product, in the order of time, and takes them from the front.
    """

    impressions: dict[tuple[str, Who], Line[Shown]] = field(default_factory=dict)
    waiting: dict[tuple[str, str, Who], Line[Acted]] = field(default_factory=dict)
    open: dict[int, Shown | Acted] = field(default_factory=dict)
    closed_items: dict[str, set[str]] = field(default_factory=dict)
    staying: Staying = field(default_factory=Staying)
    due: list[Due] = field(default_factory=list)
    settled: list[ClickThrough] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        impressions: Iterable[Shown],
        interactions: Iterable[Acted],
        closed: Iterable[tuple[str, Sequence[str]]],
        staying: Staying | None = None,
    ) -> Join:
        """Start from stored state."""
        join = cls(staying=staying or Staying())
        for impression in impressions:
            join._open(impression)
        for interaction in interactions:
            join._wait(interaction)
        for ref, items in closed:
            join.closed_items.setdefault(ref, set()).update(items)
        return join

    def advance(self, moment: Moment) -> None:
        """Close what is due by this position's time, then take in what happened there."""
        while self.due and self.due[0][0] <= moment.at:
            self._settle(heappop(self.due)[2], moment.position)
        if isinstance(moment.what, Shown):
            self._open(moment.what)
        elif moment.what is not None:
            self._take(moment.what)

    def settle(self, position: int) -> None:
        """Settle all that is open, as if every window ended at this position."""
        while self.due:
            self._settle(heappop(self.due)[2], position)

    def _open(self, impression: Shown) -> None:
        for who in (impression.subject_id, ANYONE):
            line = self.impressions.setdefault((impression.ranking_ref, who), [])
            insort(line, (impression.shown_at, impression.position, impression))
        self.open[impression.position] = impression
        heappush(self.due, (impression.due_at, impression.position, impression))

    def _take(self, interaction: Acted) -> None:
        ref = interaction.ranking_ref
        if ref is None:
            if interaction.context_key is not None:
                self.settled.append(_implied(interaction, at=interaction.position, late=False))
        elif self._first_shown(interaction) is None and interaction.product_id in self.closed_items.get(ref, ()):
            self.settled.append(_implied(interaction, at=interaction.position, late=True))
        else:
            self._wait(interaction)

    def _wait(self, interaction: Acted) -> None:
        assert interaction.ranking_ref is not None  # without a ranking there is nothing to wait for
        for who in (interaction.subject_id, ANYONE):
            line = self.waiting.setdefault((interaction.ranking_ref, interaction.product_id, who), [])
            insort(line, (interaction.at, interaction.position, interaction))
        self.open[interaction.position] = interaction
        heappush(self.due, (interaction.due_at, interaction.position, interaction))

    def _settle(self, what: Shown | Acted, position: int) -> None:
        if isinstance(what, Shown):
            self._close(what, position)
        elif what.position in self.open and self._first_shown(what) is None:
            self._leave(what)
            self.settled.append(_implied(what, at=position, late=False))

    def _close(self, impression: Shown, position: int) -> None:
        """Impressions close in the order in which they were shown, so this one is the first of those still open: its
        are the interactions before the next one that they fit."""
        ref = impression.ranking_ref
        for who in (impression.subject_id, ANYONE):
            _remove(self.impressions, (ref, who), impression.shown_at, impression.position)
        del self.open[impression.position]
        outcomes: dict[str, list[str]] = {}
        for each in sorted(self._followed(impression), key=attrgetter("position")):
            self._leave(each)
            outcomes.setdefault(each.product_id, []).append(each.kind)
        self.closed_items.setdefault(ref, set()).update(impression.items)
        self.settled.append(_closed(impression, position, outcomes))

    def _followed(self, impression: Shown) -> list[Acted]:
        ref, subject = impression.ranking_ref, impression.subject_id
        followed: list[Acted] = []
        for product in set(impression.items):
            if (ref, product, ANYONE) not in self.waiting:
                continue
            if subject is None:
                followed += self._followed_nobody(ref, product)
            else:
                for who in (subject, None):
                    line = self.waiting.get((ref, product, who), [])
                    followed += _before(line, self._first_fitting((ref, product, who))) if line else []
        return followed

    def _followed_nobody(self, ref: str, product: str) -> list[Acted]:
        """What follows from an impression of nobody known may be anyone's, up to the next such impression."""
        shown = _first_with(self.impressions.get((ref, None), []), product)
        until = _earliest(shown, self.staying.first_of_nobody.get((ref, product)))
        possible = _before(self.waiting[ref, product, ANYONE], until)
        next_of = {who: self._first_fitting((ref, product, who)) for who in {each.subject_id for each in possible}}
        return [each for each in possible if (following := next_of[each.subject_id]) is None or each.at < following]

    def _leave(self, interaction: Acted) -> None:
        assert interaction.ranking_ref is not None
        for who in (interaction.subject_id, ANYONE):
            key = (interaction.ranking_ref, interaction.product_id, who)
            _remove(self.waiting, key, interaction.at, interaction.position)
        del self.open[interaction.position]

    def _first_shown(self, interaction: Acted) -> datetime | None:
        return self._first_fitting((interaction.ranking_ref or "", interaction.product_id, interaction.subject_id))

    def _first_fitting(self, key: Key) -> datetime | None:
        """When the first open impression was shown that such an interaction may follow from.

        It holds the product, and is not another's: a shop may keep an answer and show it to many.
        """
        ref, product, subject = key
        first = self.staying.first.get(key)
        for who in (ANYONE,) if subject is None else (subject, None):
            first = _earliest(first, _first_with(self.impressions.get((ref, who), []), product))
        return first


def _first_with(line: Line[Shown], product: str) -> datetime | None:
    return next((shown_at for shown_at, _, impression in line if product in impression.items), None)


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return one if other is None or (one is not None and one <= other) else other


def _before(line: Line[Acted], until: datetime | None) -> list[Acted]:
    end = len(line) if until is None else bisect_left(line, until, key=itemgetter(0))
    return [interaction for _, _, interaction in line[:end]]


def _remove(lines: dict[Any, Line[T]], key: Any, at: datetime, position: int) -> None:
    line = lines[key]
    del line[bisect_left(line, (at, position), key=itemgetter(0, 1))]
    if not line:
        del lines[key]


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
