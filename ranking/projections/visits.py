"""Who visited what: shoppers' newest steps, what each had, how popular products are, and which go together.

Everything that recommendations are made from, moved set-based as events arrive, so that the next request knows. Impressions
change none of it: to be shown is not to be wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

import numpy as np

from eventlog.database import query, rows
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from feedback.events import InteractionRecorded, ShopperErased
from ranking.signals import values_logged
from ranking.visits.options import VISITS, pull
from ranking.visits.owned import Owned
from ranking.visits.pending import pairs_note
from ranking.visits.popularity import HALF_LIVES, Floats, Visited, visited
from ranking.visits.steps import Steps, steps_of, steps_unpack
from ranking.visits.walk import steps_walk
from ranking.weights.decay import MOST_HALF_LIVES
from ranking.weights.events import SignalsSet

Product = tuple[int, str]  # shop, product_id
Weighed = tuple[RecordedEvent, float]  # what an interaction says of what its shopper wants
Key = TypeVar("Key", Product, int)
NOTHING = 1e-100


class Visits(Projection):
    name = "visits"
    event_types = frozenset({InteractionRecorded.type, ShopperErased.type, SignalsSet.type})
    tables = (
        "ranking_visitor",
        "ranking_owned",
        "ranking_visited",
        "ranking_shopvisits",
        "ranking_covisited",
        "ranking_copending",
        "ranking_cosweep",
        "ranking_visitorerased",
    )

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """Take each stretch between erasures at once: what was erased must be gone before what comes after is added.

        So with tables of signals: an interaction counts by that of its time.
        """
        stretch: list[RecordedEvent] = []
        for event in events:
            if event.type != InteractionRecorded.type:
                _visit(stretch)
                stretch = []
            if event.type == ShopperErased.type:
                _erase(UUID(event.data["subject_id"]))
            elif event.type == InteractionRecorded.type:
                stretch.append(event)
        _visit(stretch)


visits = Visits()


def _erase(subject: UUID) -> None:
    query("DELETE FROM ranking_visitor WHERE subject_id = %s", [subject])
    query("DELETE FROM ranking_owned WHERE subject_id = %s", [subject])
    query("INSERT INTO ranking_visitorerased (subject_id) VALUES (%s) ON CONFLICT DO NOTHING", [subject])


def _visit(events: Sequence[RecordedEvent]) -> None:
    if not events:
        return
    numbers = _numbers(events)
    values = values_logged({event.shop_id for event in events}, before=events[0].position)
    pulls = np.array([pull(event.data["kind"], values[event.shop_id]) for event in events], dtype=np.float64)
    _merge_visited(events, pulls, numbers)
    _merge_shops(events, pulls)
    subjects = _subjects(events)
    known = [
        (event, weight) for event, weight in zip(events, pulls.tolist(), strict=True) if event.subject_id in subjects
    ]
    if not known:
        return
    _merge_owned(known, numbers)
    _take_steps([(event, weight) for event, weight in known if weight > 0.0], numbers)


def _product(event: RecordedEvent) -> Product:
    return event.shop_id, event.data["product_id"]


def _numbers(events: Sequence[RecordedEvent]) -> dict[Product, int]:
    """The number of each product: the position of the first event that named it."""
    first: dict[Product, int] = {}
    for event in events:
        first.setdefault(_product(event), event.position)
    known = rows(
        """SELECT v.shop_id, v.product_id, v.id FROM unnest(%b::integer[], %b::text[]) AS g (shop_id, product_id)
             JOIN ranking_visited v ON v.shop_id = g.shop_id AND v.product_id = g.product_id""",
        [[shop_id for shop_id, _ in first], [product_id for _, product_id in first]],
    )
    return first | {(shop_id, product_id): id_ for shop_id, product_id, id_ in known}


def _subjects(events: Iterable[RecordedEvent]) -> set[UUID]:
    """Subjects of these events that were not erased."""
    named = list({event.subject_id for event in events if event.subject_id is not None})
    gone = rows("SELECT subject_id FROM ranking_visitorerased WHERE subject_id = ANY(%b::uuid[])", [named])
    return set(named) - {subject for (subject,) in gone}


def _steps_read(subjects: Collection[UUID]) -> dict[UUID, Steps]:
    found = rows(
        "SELECT subject_id, steps FROM ranking_visitor WHERE subject_id = ANY(%b::uuid[])",
        [list(subjects)],
        binary=True,
    )
    return {subject: steps_unpack(steps) for subject, steps in found}


def _take_steps(visits: Sequence[Weighed], numbers: dict[Product, int]) -> None:
    """Let subjects take their steps in the order of the log, and note what goes together by it."""
    events = [event for event, _ in visits]
    whose = [event.subject_id for event in events if event.subject_id is not None]
    new = steps_of(
        (numbers[_product(event)], event.effective_at.timestamp(), weight, event.position) for event, weight in visits
    )
    steps, pairs, made_by = steps_walk(whose, new, _steps_read(set(whose)))
    shops = np.array([event.shop_id for event in events], dtype=np.int64)
    _write_steps(dict(zip(whose, shops.tolist(), strict=True)), steps)
    for shop_id in dict.fromkeys(shops.tolist()):
        newest = events[int(np.flatnonzero(shops == shop_id)[-1])]
        pairs_note(shop_id, pairs[shops[made_by] == shop_id], position=newest.position)


def _write_steps(shops: dict[UUID, int], steps: dict[UUID, Steps]) -> None:
    query(
        """INSERT INTO ranking_visitor (subject_id, shop_id, steps)
           SELECT * FROM unnest(%b::uuid[], %b::integer[], %b::bytea[])
           ON CONFLICT (subject_id) DO UPDATE SET steps = excluded.steps""",
        [list(steps), [shops[subject] for subject in steps], [each.tobytes() for each in steps.values()]],
    )


def _left(half_life: float, side: str, column: str) -> str:
    """What is left of a stored or of a new sum at the later of their times."""
    half_lives = f"least((greatest(t.at, excluded.at) - {side}.at) / {half_life}, {MOST_HALF_LIVES})"
    return f"CASE WHEN {side}.{column} < {NOTHING} THEN 0 ELSE {side}.{column} * power(2.0, -{half_lives}) END"


def _added(half_life: float, column: str) -> str:
    return f"{column} = {_left(half_life, 't', column)} + {_left(half_life, 'excluded', column)}"


_SUMS = ", ".join(["%b::double precision[]"] * len(HALF_LIVES))
_MERGE_VISITED = f"""
INSERT INTO ranking_visited AS t (shop_id, product_id, id, first_at, at, {", ".join(HALF_LIVES)})
SELECT * FROM unnest(%b::integer[], %b::text[], %b::bigint[], %b::double precision[], %b::double precision[], {_SUMS})
ON CONFLICT (shop_id, product_id) DO UPDATE SET
  {", ".join(_added(half_life, name) for name, half_life in HALF_LIVES.items())},
  first_at = least(t.first_at, excluded.first_at), at = greatest(t.at, excluded.at)"""


def _merge_visited(events: Sequence[RecordedEvent], pulls: Floats, numbers: dict[Product, int]) -> None:
    products, found = _summed([_product(event) for event in events], events, pulls)
    query(
        _MERGE_VISITED,
        [
            [shop_id for shop_id, _ in products],
            [product_id for _, product_id in products],
            [numbers[product] for product in products],
            found.first_at.tolist(),
            found.at.tolist(),
            *found.sums.tolist(),
        ],
    )


_MERGE_SHOPS = f"""
INSERT INTO ranking_shopvisits AS t (shop_id, at, {", ".join(HALF_LIVES)})
SELECT * FROM unnest(%b::integer[], %b::double precision[], {_SUMS})
ON CONFLICT (shop_id) DO UPDATE SET
  {", ".join(_added(half_life, name) for name, half_life in HALF_LIVES.items())}, at = greatest(t.at, excluded.at)"""


def _merge_shops(events: Sequence[RecordedEvent], pulls: Floats) -> None:
    shops, found = _summed([event.shop_id for event in events], events, pulls)
    query(_MERGE_SHOPS, [shops, found.at.tolist(), *found.sums.tolist()])


def _summed(keys: Sequence[Key], events: Sequence[RecordedEvent], pulls: Floats) -> tuple[list[Key], Visited]:
    """Visits summed by a key of each: the keys, and their sums."""
    found: dict[Key, int] = {}
    groups = np.array([found.setdefault(key, len(found)) for key in keys], dtype=np.int64)
    at = np.array([event.effective_at.timestamp() for event in events], dtype=np.float64)
    return list(found), visited(groups, len(found), pulls, at)


_MERGE_OWNED = f"""
INSERT INTO ranking_owned AS t (subject_id, visited_id, purchases, reward, first_at, at, bought_at, dismissed_at)
SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::integer[], %b::double precision[], %b::double precision[],
                     %b::double precision[], %b::double precision[], %b::double precision[])
ON CONFLICT (subject_id, visited_id) DO UPDATE SET
  {_added(VISITS.owned_half_life_seconds, "reward")}, purchases = t.purchases + excluded.purchases,
  first_at = least(t.first_at, excluded.first_at), at = greatest(t.at, excluded.at),
  bought_at = greatest(t.bought_at, excluded.bought_at), dismissed_at = greatest(t.dismissed_at, excluded.dismissed_at)"""


def _merge_owned(visits: Sequence[Weighed], numbers: dict[Product, int]) -> None:
    of: dict[tuple[UUID, int], Owned] = {}
    for event, weight in visits:
        assert event.subject_id is not None
        owned = of.setdefault((event.subject_id, numbers[_product(event)]), Owned())
        owned.add(event.data["kind"], event.effective_at.timestamp(), weight)
    given = list(of.values())
    query(
        _MERGE_OWNED,
        [
            [subject for subject, _ in of],
            [number for _, number in of],
            *([getattr(each, name) for each in given]
              for name in ("purchases", "reward", "first_at", "at", "bought_at", "dismissed_at")),
        ],
    )  # fmt: skip
