"""Feedback to evidence: decayed rewards and exposures of the shop, its products and its contexts. Waits for no join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from eventlog.database import query, rows
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from feedback.events import ImpressionRecorded, InteractionRecorded
from ranking.curves import curves_in_force
from ranking.events import ExaminationEstimated, WeightSet
from ranking.weights.decay import MOST_HALF_LIVES, NOTHING
from ranking.weights.factors import examination
from ranking.weights.options import DEFAULTS, WeightOptions

ContextKey = tuple[int, str, str]  # shop, kind, key
Pair = tuple[ContextKey, str]  # context, product_id
Key = TypeVar("Key")
BREADTH_REWARD = 1.0  # a context counts for a product's breadth from a click on; a view says too little
RANKS = 1100  # a rank beyond is looked at as rarely as this one


@dataclass(slots=True)
class Sum:
    """A decayed sum of two values at the time of its newest addition, in seconds."""

    half_life: float
    reward: float = 0.0
    exposure: float = 0.0
    at: float = float("-inf")

    def add(self, reward: float, exposure: float, at: float) -> None:
        if at > self.at:
            factor = 0.5 ** min((at - self.at) / self.half_life, 1000.0)
            self.reward, self.exposure, self.at = self.reward * factor, self.exposure * factor, at
            share = 1.0
        else:
            share = 0.5 ** min((self.at - at) / self.half_life, 1000.0)
        self.reward += reward * share
        self.exposure += exposure * share


class Sums(dict[Key, Sum]):
    """Sums by key, each made when its first addition comes."""

    def __init__(self, half_life: float) -> None:
        super().__init__()
        self.half_life = half_life

    def __missing__(self, key: Key) -> Sum:
        self[key] = made = Sum(self.half_life)
        return made


class Batch:
    """The sums of one batch of events, to be merged into the tables by one statement each."""

    def __init__(self, options: WeightOptions = DEFAULTS, curves: Mapping[int, Sequence[float]] | None = None) -> None:
        self.options = options
        self.curves = {shop_id: _looked_at(tuple(curve)) for shop_id, curve in (curves or {}).items()}
        self.shops: Sums[int] = Sums(options.global_half_life_seconds)
        self.products: Sums[tuple[int, str]] = Sums(options.global_half_life_seconds)
        self.contexts: Sums[ContextKey] = Sums(options.context_half_life_seconds)
        self.recent_contexts: Sums[ContextKey] = Sums(options.recent_half_life_seconds)
        self.pairs: Sums[Pair] = Sums(options.context_half_life_seconds)
        self.recent_pairs: Sums[Pair] = Sums(options.recent_half_life_seconds)
        self.rewarded_at: dict[Pair, float] = {}
        self.first_position: dict[ContextKey, int] = {}

    def estimate(self, event: RecordedEvent) -> None:
        """Let what is shown after this event count as looked at by its curve."""
        self.curves[event.shop_id] = _looked_at(tuple(event.data["curve"]))

    def add(self, event: RecordedEvent) -> None:
        at = event.effective_at.timestamp()
        shop_id = event.shop_id
        looked_at = self.curves.get(shop_id) or _looked_at(())
        context = self._context(event)
        for product_id, reward, exposure in contributions(event, self.options, looked_at):
            self.shops[shop_id].add(reward, exposure, at)
            self.products[shop_id, product_id].add(reward, exposure, at)
            if context is None:
                continue
            pair = (context, product_id)
            self.contexts[context].add(reward, exposure, at)
            self.recent_contexts[context].add(reward, exposure, at)
            self.pairs[pair].add(reward, exposure, at)
            self.recent_pairs[pair].add(reward, exposure, at)
            if reward >= BREADTH_REWARD:
                self.rewarded_at[pair] = max(self.rewarded_at.get(pair, at), at)

    def _context(self, event: RecordedEvent) -> ContextKey | None:
        context = event.data.get("context")
        if not context:
            return None
        key = (event.shop_id, context["kind"], context["key"])
        self.first_position.setdefault(key, event.position)
        return key


def contributions(
    event: RecordedEvent, options: WeightOptions, looked_at: Sequence[float]
) -> list[tuple[str, float, float]]:
    """Product, reward and exposure that an event of feedback adds: an impression exposes by rank, an interaction rewards.

    `looked_at` is P(looked at) of each rank from 1 to RANKS.
    """
    data = event.data
    if event.type == InteractionRecorded.type:
        return [(data["product_id"], options.values[data["kind"]], 0.0)]
    first = data["first_rank"] - 1
    return [(product_id, 0.0, looked_at[min(first + i, RANKS - 1)]) for i, product_id in enumerate(data["items"])]


@lru_cache(maxsize=64)
def _looked_at(curve: tuple[float, ...]) -> list[float]:
    return [float(each) for each in examination(range(1, RANKS + 1), curve)]


class Weights(Projection):
    name = "weights"
    event_types = frozenset(
        {ImpressionRecorded.type, InteractionRecorded.type, WeightSet.type, ExaminationEstimated.type}
    )
    tables = (
        "ranking_examination",
        "ranking_shopweight",
        "ranking_productweight",
        "ranking_context",
        "ranking_contextweight",
        "ranking_operatorweight",
    )

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        batch = Batch(curves=curves_in_force({event.shop_id for event in events}))
        for event in events:
            if event.type == ExaminationEstimated.type:
                batch.estimate(event)
            elif event.type != WeightSet.type:
                batch.add(event)
        if batch.shops:
            _merge_shops(batch)
            _merge_products(batch)
            ids = _merge_contexts(batch)
            _merge_breadth(batch, _rewarded_before(batch, ids))
            _merge_pairs(batch, ids)
        _keep_curves([event for event in events if event.type == ExaminationEstimated.type])
        _set_operator_weights([event for event in events if event.type == WeightSet.type])


weights = Weights()


def _merged(half_life: float, columns: Sequence[str], at: str = "at") -> str:
    """SET clause that adds the excluded row to the stored row t, both decayed to the later of their times."""

    def left(side: str, each: str) -> str:
        half_lives = f"least((greatest(t.{at}, excluded.{at}) - {side}.{at}) / {half_life}, {MOST_HALF_LIVES})"
        return f"CASE WHEN abs({side}.{each}) < {NOTHING} THEN 0 ELSE {side}.{each} * power(2.0, -{half_lives}) END"

    return ", ".join(f"{each} = {left('t', each)} + {left('excluded', each)}" for each in columns)


def _columns(sums: Sequence[Sum]) -> list[list[float]]:
    return [[each.reward for each in sums], [each.exposure for each in sums], [each.at for each in sums]]


def _values(sums: Sequence[Sum]) -> list[list[float]]:
    return [[each.reward for each in sums], [each.exposure for each in sums]]


_LATER = "at = greatest(t.at, excluded.at)"


def _merge_shops(batch: Batch) -> None:
    query(
        f"""INSERT INTO ranking_shopweight AS t (shop_id, reward, exposure, at)
            SELECT * FROM unnest(%s::integer[], %s::double precision[], %s::double precision[], %s::double precision[])
            ON CONFLICT (shop_id) DO UPDATE SET
              {_merged(batch.options.global_half_life_seconds, ("reward", "exposure"))}, {_LATER}""",
        [list(batch.shops), *_columns(list(batch.shops.values()))],
    )


def _merge_products(batch: Batch) -> None:
    query(
        f"""INSERT INTO ranking_productweight AS t (shop_id, product_id, reward, exposure, at)
            SELECT * FROM unnest(%s::integer[], %s::text[], %s::double precision[], %s::double precision[],
                                 %s::double precision[])
            ON CONFLICT (shop_id, product_id) DO UPDATE SET
              {_merged(batch.options.global_half_life_seconds, ("reward", "exposure"))}, {_LATER}""",
        [
            [shop_id for shop_id, _ in batch.products],
            [product_id for _, product_id in batch.products],
            *_columns(list(batch.products.values())),
        ],
    )


def _merge_contexts(batch: Batch) -> dict[ContextKey, int]:
    """Merge the contexts' totals and return their ids; a new one gets the position of the event that named it first."""
    keys = list(batch.contexts)
    found = rows(
        f"""INSERT INTO ranking_context AS t
              (id, shop_id, kind, key, reward, exposure, at, recent_reward, recent_exposure)
            SELECT * FROM unnest(%s::bigint[], %s::integer[], %s::text[], %s::text[], %s::double precision[],
                                 %s::double precision[], %s::double precision[], %s::double precision[],
                                 %s::double precision[])
            ON CONFLICT (shop_id, kind, key) DO UPDATE SET
              {_merged(batch.options.context_half_life_seconds, ("reward", "exposure"))},
              {_merged(batch.options.recent_half_life_seconds, ("recent_reward", "recent_exposure"))}, {_LATER}
            RETURNING shop_id, kind, key, id""",
        [
            [batch.first_position[key] for key in keys],
            *([key[part] for key in keys] for part in range(3)),
            *_columns([batch.contexts[key] for key in keys]),
            *_values([batch.recent_contexts[key] for key in keys]),
        ],
    )
    return {(shop_id, kind, key): id_ for shop_id, kind, key, id_ in found}


def _rewarded_before(batch: Batch, ids: dict[ContextKey, int]) -> dict[Pair, float]:
    """When the rewarded pairs of the batch had been rewarded last before it."""
    pairs = list(batch.rewarded_at)
    found = rows(
        """SELECT g.n, w.rewarded_at FROM unnest(%s::bigint[], %s::text[]) WITH ORDINALITY AS g (context_id, product_id, n)
             JOIN ranking_contextweight w ON w.context_id = g.context_id AND w.product_id = g.product_id
            WHERE w.rewarded_at IS NOT NULL""",
        [[ids[context] for context, _ in pairs], [product_id for _, product_id in pairs]],
    )
    return {pairs[n - 1]: rewarded_at for n, rewarded_at in found}


def _merge_breadth(batch: Batch, before: dict[Pair, float]) -> None:
    """Let each context count once: where its newest reward moved on, the old term goes and the new one comes."""
    half_life = batch.options.breadth_half_life_seconds
    products: Sums[tuple[int, str]] = Sums(half_life)
    shops: Sums[int] = Sums(half_life)
    for pair, after in batch.rewarded_at.items():
        (shop_id, _, _), product_id = pair
        if after <= before.get(pair, float("-inf")):
            continue
        for each in (products[shop_id, product_id], shops[shop_id]):
            each.add(1.0, 0.0, after)
            if pair in before:
                each.add(-1.0, 0.0, before[pair])
    moved = f"SET {_merged(half_life, ('breadth',), 'breadth_at')}, breadth_at = greatest(t.breadth_at, excluded.breadth_at)"
    moved = moved.replace("excluded.", "g.")
    query(
        f"""UPDATE ranking_productweight AS t {moved}
              FROM unnest(%s::integer[], %s::text[], %s::double precision[], %s::double precision[])
                AS g (shop_id, product_id, breadth, breadth_at)
             WHERE t.shop_id = g.shop_id AND t.product_id = g.product_id""",
        [
            [shop_id for shop_id, _ in products],
            [product_id for _, product_id in products],
            [each.reward for each in products.values()],
            [each.at for each in products.values()],
        ],
    )
    query(
        f"""UPDATE ranking_shopweight AS t {moved}
              FROM unnest(%s::integer[], %s::double precision[], %s::double precision[]) AS g (shop_id, breadth, breadth_at)
             WHERE t.shop_id = g.shop_id""",
        [list(shops), [each.reward for each in shops.values()], [each.at for each in shops.values()]],
    )


def _merge_pairs(batch: Batch, ids: dict[ContextKey, int]) -> None:
    pairs = list(batch.pairs)
    query(
        f"""INSERT INTO ranking_contextweight AS t
              (shop_id, context_id, product_id, reward, exposure, at, recent_reward, recent_exposure, rewarded_at)
            SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::double precision[], %s::double precision[],
                                 %s::double precision[], %s::double precision[], %s::double precision[],
                                 %s::double precision[])
            ON CONFLICT (context_id, product_id) DO UPDATE SET
              {_merged(batch.options.context_half_life_seconds, ("reward", "exposure"))},
              {_merged(batch.options.recent_half_life_seconds, ("recent_reward", "recent_exposure"))}, {_LATER},
              rewarded_at = greatest(t.rewarded_at, excluded.rewarded_at)""",
        [
            [context[0] for context, _ in pairs],
            [ids[context] for context, _ in pairs],
            [product_id for _, product_id in pairs],
            *_columns([batch.pairs[pair] for pair in pairs]),
            *_values([batch.recent_pairs[pair] for pair in pairs]),
            [batch.rewarded_at.get(pair) for pair in pairs],
        ],
    )


def _keep_curves(events: Sequence[RecordedEvent]) -> None:
    if not events:
        return
    query(
        """INSERT INTO ranking_examination (shop_id, position, method, clicks, curve)
           SELECT g.shop_id, g.position, g.method, g.clicks, g.curve::double precision[]
             FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::integer[], %s::text[])
               AS g (shop_id, position, method, clicks, curve)
           ON CONFLICT DO NOTHING""",
        [
            [event.shop_id for event in events],
            [event.position for event in events],
            [event.data["method"] for event in events],
            [event.data["clicks"] for event in events],
            ["{" + ",".join(map(repr, event.data["curve"])) + "}" for event in events],  # they differ in length
        ],
    )


def _set_operator_weights(events: Sequence[RecordedEvent]) -> None:
    if not events:
        return
    query(
        """INSERT INTO ranking_operatorweight (shop_id, product_id, context_key, position, weight, until)
           SELECT g.shop_id, g.product_id, g.context_key, g.position, g.weight, extract(epoch FROM g.until::timestamptz)
             FROM unnest(%s::integer[], %s::text[], %s::text[], %s::bigint[], %s::double precision[], %s::text[])
               AS g (shop_id, product_id, context_key, position, weight, until)
           ON CONFLICT DO NOTHING""",
        [
            [event.shop_id for event in events],
            [event.data["product_id"] for event in events],
            [event.data.get("context_key") or "" for event in events],
            [event.position for event in events],
            [event.data["weight"] for event in events],
            [event.data.get("until") for event in events],
        ],
    )
