"""The candidates of a recommendation with all that scoring needs, read from PostgreSQL in one statement.

What strategies proposed by number is joined by what the statement finds itself: the nearest vectors, the popular, the
trending and the newest products; a small shop, or what a filter leaves of one, is taken whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventlog.database import rows
from ranking.filters import Filter
from ranking.projections.vectors import embedding_table
from ranking.retrieval import Candidates, Snapshot
from ranking.strategies.depth import Depth
from ranking.vector_formats import ids_text, vector_text
from ranking.visits.asked import Pool, stretched
from ranking.visits.popularity import HALF_LIVES, popularity_order
from ranking.weights.decay import MOST_HALF_LIVES, decay

_LIVE = "p.shop_id = %(shop)s AND p.retired_at IS NULL AND p.product_id <> ALL(%(without)s::text[])"


def _left(sums: str, half_life: str, at: str = "at") -> str:
    return f"power(2.0, -least(greatest(%(now)s - {sums}.{at}, 0) / %({half_life})s, {MOST_HALF_LIVES}))"


def _best_visited(name: str, most: int, conditions: str) -> str:
    return f"""SELECT p.id FROM ranking_visited t JOIN catalog_product p ON p.shop_id = t.shop_id AND p.product_id = t.product_id
                WHERE t.shop_id = %(shop)s AND t.{name} > 0 AND {_LIVE}{conditions}
                ORDER BY {popularity_order(name)} DESC, p.id LIMIT {most}"""


def _sources(table: str | None, conditions: str, depth: Depth, *, compared: bool, whole: bool) -> list[str]:
    if whole:
        return [f"SELECT p.id FROM catalog_product p WHERE {_LIVE}{conditions}"]
    proposed = f"""SELECT p.id FROM unnest(%(numbers)s::bigint[]) AS g (id) JOIN ranking_visited t ON t.id = g.id
                     JOIN catalog_product p ON p.shop_id = t.shop_id AND p.product_id = t.product_id
                    WHERE {_LIVE}{conditions}"""
    newest = f"SELECT p.id FROM catalog_product p WHERE {_LIVE}{conditions} ORDER BY p.id DESC LIMIT {depth.newest}"
    wanted = f"SELECT p.id FROM catalog_product p WHERE p.product_id = ANY(%(wanted)s::text[]) AND {_LIVE}{conditions}"
    found = [
        proposed,
        wanted,
        newest,
        _best_visited("week", depth.popular, conditions),
        _best_visited("day", depth.trending, conditions),
    ]
    if table and compared:
        found.append(
            f"""SELECT p.id FROM {table} t JOIN catalog_product p ON p.id = t.document_id WHERE {_LIVE}{conditions}
                 ORDER BY t.vector <#> %(vector)s::vector LIMIT {depth.nearest}"""
        )
    return found


def candidates_sql(*, table: str | None, conditions: str, depth: Depth, compared: bool, whole: bool) -> str:
    """Return the statement; its text depends on few things, so that a connection prepares it once each.

    Vectors of the `table` are `compared` with that of the context, where it has one.
    """
    every = _sources(table, conditions, depth, compared=compared, whole=whole)
    sources = " UNION ".join(f"({source})" for source in every)
    dense = "-(vector <#> %(vector)s::vector)" if compared else "NULL::double precision"
    vector = f"""LEFT JOIN LATERAL (SELECT description_version, {dense} AS dense
                   FROM {table} t WHERE t.document_id = p.id OFFSET 0) v ON true""" if table else ""  # fmt: skip
    return f"""
WITH candidate AS MATERIALIZED ({sources})
SELECT p.id, p.product_id, p.description_version, {"coalesce(v.description_version, 0)" if table else "0"},
       {"v.dense" if table else "NULL::double precision"},
       coalesce(g.reward * {_left("g", "global_half_life")}, 0), coalesce(g.exposure * {_left("g", "global_half_life")}, 0),
       coalesce(g.breadth * {_left("g", "breadth_half_life", "breadth_at")}, 0),
       coalesce(e.reward * {_left("e", "context_half_life")}, 0), coalesce(e.exposure * {_left("e", "context_half_life")}, 0),
       coalesce(e.recent_reward * {_left("e", "recent_half_life")}, 0),
       coalesce(e.recent_exposure * {_left("e", "recent_half_life")}, 0), coalesce(r.weight, 1),
       coalesce(t.id, 0), t.day, t.week, t.month, t.at,
       least(date_part('epoch', p.created_at), date_part('epoch', p.released_at), t.first_at),
       p.price, p.brand, p.category[cardinality(p.category)], p.in_stock, t.year
  FROM candidate c
  JOIN catalog_product p ON p.id = c.id
  LEFT JOIN ranking_visited t ON t.shop_id = p.shop_id AND t.product_id = p.product_id
  LEFT JOIN ranking_productweight g ON g.shop_id = p.shop_id AND g.product_id = p.product_id
  LEFT JOIN ranking_contextweight e ON e.context_id = %(own)s AND e.product_id = p.product_id
  LEFT JOIN ({_OPERATOR}) r ON r.product_id = p.product_id
  {vector}"""


# of a product's weights for every query the newest counts; one that ended counts no more
_OPERATOR = """
  SELECT product_id, weight
    FROM (SELECT DISTINCT ON (product_id) product_id, weight, until
            FROM ranking_operatorweight WHERE shop_id = %(shop)s AND context_key = ''
           ORDER BY product_id, position DESC) newest
   WHERE until IS NULL OR until > %(now)s"""


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates as the weights take them, and as the strategies do; brands and narrowest categories, for variety."""

    candidates: Candidates
    pool: Pool
    brands: list[str | None]
    categories: list[str | None]
    in_stock: NDArray[np.bool_]


def candidates_read(
    *,
    shop_id: int,
    snapshot: Snapshot,
    numbers: Sequence[int],
    depth: Depth,
    vector: NDArray[np.float64] | None,
    major: int,
    unrelated: float,
    filters: Sequence[Filter],
    without: Sequence[str],
    now: float,
    accessories: Sequence[str] = (),
    wanted: Sequence[str] = (),
) -> Found:
    """Read the candidates: proposed `numbers` and what the statement finds, but for the products `without`.

    `accessories` of the page or basket are candidates, and so are products that are `wanted` whatever speaks for them.
    """
    options = snapshot.options
    found = rows(
        candidates_sql(
            table=embedding_table(shop_id, major) if snapshot.has_vectors else None,
            conditions="".join(f" AND {each.condition}" for each in filters),
            compared=vector is not None and snapshot.has_vectors,
            depth=depth,
            whole=snapshot.filtered <= depth.whole,
        ),
        {
            "shop": shop_id,
            "numbers": ids_text(numbers),
            "vector": None if vector is None else vector_text(vector),
            "own": snapshot.context[0] if snapshot.context else None,
            "without": list(without),
            "wanted": [*accessories, *wanted],
            "now": now,
            "context_half_life": options.context_half_life_seconds,
            "recent_half_life": options.recent_half_life_seconds,
            "global_half_life": options.global_half_life_seconds,
            "breadth_half_life": options.breadth_half_life_seconds,
            **{name: value for each in filters for name, value in each.params.items()},
        },
        binary=True,
    )
    columns: list[list[Any]] = [list(each) for each in zip(*found, strict=True)] if found else [[] for _ in range(24)]
    pool = _pool(columns, now, accessories, unrelated, _of_shop(snapshot.visits, now))
    in_stock = np.array(columns[22], dtype=np.bool_)
    return Found(_candidates(columns), pool, brands=columns[20], categories=columns[21], in_stock=in_stock)


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    return np.array(column, dtype=np.float64)


def _candidates(columns: Sequence[list[Any]]) -> Candidates:
    nothing = np.zeros(len(columns[0]))
    return Candidates(
        ids=columns[0],
        product_ids=columns[1],
        text_versions=columns[2],
        vector_versions=columns[3],
        dense=_numbers(columns[4]),
        bm25=nothing,
        product_reward=_numbers(columns[5]),
        product_exposure=_numbers(columns[6]),
        product_breadth=_numbers(columns[7]),
        context_reward=_numbers(columns[8]),
        context_exposure=_numbers(columns[9]),
        recent_reward=_numbers(columns[10]),
        recent_exposure=_numbers(columns[11]),
        near_reward=nothing,
        near_exposure=nothing,
        operator=_numbers(columns[12]),
        price=columns[19],
        released_at=[None] * len(columns[0]),
        near_totals=(0.0, 0.0),
    )


def _pool(
    columns: Sequence[list[Any]],
    now: float,
    accessories: Collection[str],
    unrelated: float,
    shop: tuple[float, float, float, float],
) -> Pool:
    age = now - _numbers(columns[17])  # of the newest visit
    left = [decay(age, half_life) for half_life in HALF_LIVES.values()]
    sums = (columns[n] for n in (14, 15, 16, 23))
    day, week, month, year = (np.nan_to_num(_numbers(each) * by) for each, by in zip(sums, left, strict=True))
    return Pool(
        numbers=np.array(columns[13], dtype=np.int64),
        dense=stretched(_numbers(columns[4]), unrelated),
        day=day,
        week=week,
        month=month,
        year=year,
        age=now - _numbers(columns[18]),
        accessory=np.array([each in accessories for each in columns[1]], dtype=np.float64),
        nearest=np.zeros(len(age)),  # once their vectors are there
        around=np.zeros(len(age)),
        shop=shop,
    )


def _of_shop(visits: Sequence[float] | None, now: float) -> tuple[float, float, float, float]:
    if visits is None:
        return 0.0, 0.0, 0.0, 0.0
    *sums, at = visits
    day, week, month, year = (
        value * float(decay(now - at, half_life)) for value, half_life in zip(sums, HALF_LIVES.values(), strict=True)
    )
    return day, week, month, year
