"""The sums of a batch, merged into the rows that searches read: a statement a table, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from eventlog.database import query, rows
from ranking.projections.weight_sums import Batch, ContextKey, Pair, Sum, Sums
from ranking.weights.decay import MOST_HALF_LIVES, NOTHING
from ranking.weights.options import WeightOptions


def batch_merge(batch: Batch) -> None:
    """Merge a batch; of no use twice."""
    if batch.shops:
        _merge_shops(batch)
        _merge_products(batch)
        ids = _merge_contexts(batch)
        _merge_breadth(batch, _rewarded_before(batch, ids))
        _merge_pairs(batch, ids)


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


def breadth_life(options: WeightOptions) -> float:
    """Seconds in which breadth falls to 1/e, as each row has it for the index of popular products."""
    return options.breadth_half_life_seconds / log(2)


_LATER = "at = greatest(t.at, excluded.at)"


def _merge_shops(batch: Batch) -> None:
    query(
        f"""INSERT INTO ranking_shopweight AS t (shop_id, reward, exposure, at)
            SELECT * FROM unnest(%b::integer[], %b::double precision[], %b::double precision[], %b::double precision[])
            ON CONFLICT (shop_id) DO UPDATE SET
              {_merged(batch.options.global_half_life_seconds, ("reward", "exposure"))}, {_LATER}""",
        [list(batch.shops), *_columns(list(batch.shops.values()))],
    )


def _merge_products(batch: Batch) -> None:
    query(
        f"""INSERT INTO ranking_productweight AS t (shop_id, product_id, reward, exposure, at, breadth_life)
            SELECT g.*, %s::double precision
              FROM unnest(%b::integer[], %b::text[], %b::double precision[], %b::double precision[],
                          %b::double precision[]) AS g
            ON CONFLICT (shop_id, product_id) DO UPDATE SET
              {_merged(batch.options.global_half_life_seconds, ("reward", "exposure"))}, {_LATER}""",
        [
            breadth_life(batch.options),
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
            SELECT * FROM unnest(%b::bigint[], %b::integer[], %b::text[], %b::text[], %b::double precision[],
                                 %b::double precision[], %b::double precision[], %b::double precision[],
                                 %b::double precision[])
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
        """SELECT g.n, w.rewarded_at FROM unnest(%b::bigint[], %b::text[]) WITH ORDINALITY AS g (context_id, product_id, n)
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
              FROM unnest(%b::integer[], %b::text[], %b::double precision[], %b::double precision[])
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
              FROM unnest(%b::integer[], %b::double precision[], %b::double precision[]) AS g (shop_id, breadth, breadth_at)
             WHERE t.shop_id = g.shop_id""",
        [list(shops), [each.reward for each in shops.values()], [each.at for each in shops.values()]],
    )


def _merge_pairs(batch: Batch, ids: dict[ContextKey, int]) -> None:
    pairs = list(batch.pairs)
    query(
        f"""INSERT INTO ranking_contextweight AS t
              (shop_id, context_id, product_id, reward, exposure, at, recent_reward, recent_exposure, rewarded_at)
            SELECT * FROM unnest(%b::integer[], %b::bigint[], %b::text[], %b::double precision[], %b::double precision[],
                                 %b::double precision[], %b::double precision[], %b::double precision[],
                                 %b::double precision[])
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
