"""Candidates and their evidence, read from PostgreSQL in one snapshot.

The cut is the union of dense (nearest vectors), lexical (best BM25), learned (products with feedback for this or a near
context), popular (what many contexts rewarded of late: g may lift it above all that is near) and fresh (newest)
candidates; a small shop, or what a filter leaves of one, is taken whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from eventlog.database import query
from ranking.filters import Filter, filters_params, filters_sql
from ranking.lexical import K1, B, essential_terms
from ranking.projections.contexts import encoder_key
from ranking.projections.vectors import embedding_table
from ranking.signals import IN_FORCE, options_read
from ranking.vector_formats import vector_text
from ranking.weights.decay import MOST_HALF_LIVES, decayed
from ranking.weights.options import DEFAULTS, WeightOptions

EXACT = 5000  # up to so many are scanned for the nearest vectors; beyond, the HNSW index is asked
DENSE, LEXICAL, LEARNED, POPULAR, FRESH = 200, 200, 100, 50, 20
WHOLE = DENSE + LEXICAL + LEARNED + POPULAR + FRESH  # so few products are all candidates: the union may hold as many
MEAN_LENGTH = 20.0  # of a document, while no publication has counted any
SEARCH_CONSUMERS = ("products", "postings", "weights", "vectors", "contexts", "models", "rules")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the log and the projections stand, and what is known of the shop and of this context."""

    last_position: int
    positions: dict[str, int]
    age_seconds: float
    documents: int
    published_documents: int
    mean_length: float
    term_documents: list[int]
    shop: tuple[float, float, float, float, float] | None  # reward, exposure, at, breadth, breadth_at
    context: tuple[int, float, float, float, float, bool] | None  # id, reward, exposure, recent reward, at, related
    neighbours: list[tuple[int, float, float]]  # context id, similarity, its lasting reward now
    has_vectors: bool
    rules: tuple[int, int] | None  # which version of the shop's rules: see ranking.rules.selectors
    filtered: int  # products that pass the filters, counted up to EXACT + 1
    options: WeightOptions = DEFAULTS  # by the shop's table of signals
    visits: tuple[float, float, float, float, float] | None = None  # of the shop by HALF_LIVES, decayed to a time; that

    @property
    def as_of_position(self) -> int:
        return min(self.positions.values(), default=0)


# of a term: how many products have it by the newest publication; -1 minus that where none has it now
_DOCUMENTS = """CASE WHEN t.documents > 0 THEN t.published_documents ELSE -1 - coalesce(t.published_documents, 0) END
               FROM unnest(%(terms)s::text[]) WITH ORDINALITY AS q (term, n)
               LEFT JOIN ranking_term t ON t.shop_id = %(shop)s AND t.term = q.term ORDER BY q.n"""

_SNAPSHOT = f"""
WITH seen AS (
  SELECT coalesce(jsonb_object_agg(consumer, position), '{{}}') AS positions,
         CASE WHEN count(*) < cardinality(%(consumers)s::text[]) THEN 0 ELSE min(position) END AS least
    FROM eventlog_checkpoint WHERE consumer = ANY(%(consumers)s::text[])
), waiting AS (
  (SELECT e.recorded_at FROM eventlog_position o JOIN eventlog_event e ON e.id = o.event_id
    WHERE o.position > (SELECT least FROM seen) AND e.shop_id = %(shop)s ORDER BY o.position LIMIT 1)
  UNION ALL
  (SELECT e.recorded_at FROM (SELECT unnest(event_ids) AS event_id FROM eventlog_pending ORDER BY id LIMIT 500) w
     JOIN eventlog_event e ON e.id = w.event_id WHERE e.shop_id = %(shop)s)
), context AS (
  SELECT c.id, c.reward, c.exposure, c.recent_reward, c.at,
         EXISTS (SELECT 1 FROM ranking_relatedcontext r WHERE r.context_id = c.id AND r.encoder = %(encoder)s)
    FROM ranking_context c WHERE c.shop_id = %(shop)s AND c.kind = %(kind)s AND c.key = %(key)s
)
SELECT s.last, seen.positions,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - min(recorded_at)) FROM waiting), 0)::double precision,
       coalesce(l.documents, 0), coalesce(p.documents, 0), coalesce(nullif(p.mean_length, 0), {MEAN_LENGTH}),
       ARRAY(SELECT {_DOCUMENTS}),
       (SELECT ARRAY[w.reward, w.exposure, w.at, w.breadth, w.breadth_at]
          FROM ranking_shopweight w WHERE w.shop_id = %(shop)s),
       (SELECT c.id FROM context c), (SELECT ARRAY[reward, exposure, recent_reward, at] FROM context),
       (SELECT exists FROM context),
       (SELECT jsonb_agg(jsonb_build_array(n.neighbour_id, n.similarity, n.reward, n.at))
          FROM (SELECT n.neighbour_id, n.similarity, o.reward, o.at
                  FROM context c JOIN ranking_contextneighbour n ON n.context_id = c.id AND n.encoder = %(encoder)s
                  JOIN ranking_context o ON o.id = n.neighbour_id
                 ORDER BY n.similarity DESC, n.neighbour_id LIMIT %(near)s) n),
       to_regclass(%(table)s) IS NOT NULL, {IN_FORCE},
       (SELECT ARRAY[a.position, a.changes] FROM ranking_arrangement a WHERE a.shop_id = %(shop)s),
       (SELECT ARRAY[v.day, v.week, v.month, v.year, v.at] FROM ranking_shopvisits v WHERE v.shop_id = %(shop)s)
  FROM seen, eventlog_sequencer s
  LEFT JOIN ranking_lexicon l ON l.shop_id = %(shop)s
  LEFT JOIN LATERAL (SELECT documents, mean_length FROM ranking_publication
                      WHERE shop_id = %(shop)s ORDER BY position DESC LIMIT 1) p ON true"""


def snapshot_read(
    *,
    shop_id: int,
    kind: str,
    key: str | None,
    terms: Sequence[str],
    major: int,
    encoder: str,
    filters: Sequence[Filter],
    now: float,
    consumers: Sequence[str] = SEARCH_CONSUMERS,
) -> Snapshot:
    """Read where everything stands, near contexts as the encoder of this fingerprint (that below the model) finds them.
    Run it first in the search's REPEATABLE READ transaction."""
    found = query(
        _SNAPSHOT,
        {
            "consumers": list(consumers),
            "shop": shop_id,
            "kind": kind,
            "key": key,
            "terms": list(terms),
            "near": DEFAULTS.near_contexts,
            "table": embedding_table(shop_id, major),
            "encoder": encoder_key(encoder),
        },
    ).fetchone()
    assert found is not None
    (last, positions, age, documents, published, mean_length, term_documents, shop, context_id, context, related,
     neighbours, has_vectors, signals, rules, visits) = found  # fmt: skip
    options = options_read(signals)
    return Snapshot(
        last_position=last,
        positions=orjson.loads(positions),
        age_seconds=age,
        documents=documents,
        published_documents=published,
        mean_length=mean_length,
        term_documents=term_documents,
        shop=None if shop is None else tuple(shop),
        context=None if context_id is None else (context_id, *context, related),
        neighbours=[
            (id_, similarity, float(decayed(reward, at, now, options.context_half_life_seconds)))
            for id_, similarity, reward, at in orjson.loads(neighbours or "[]")
        ],
        has_vectors=has_vectors,
        rules=None if rules is None else tuple(rules),
        filtered=_count_filtered(shop_id, filters) if filters else documents,
        options=options,
        visits=None if visits is None else tuple(visits),
    )


def term_documents(shop_id: int, terms: Sequence[str]) -> list[int]:
    """Published document frequency of each term; for one that no product has (any more), -1 minus that."""
    return [count for (count,) in query(f"SELECT {_DOCUMENTS}", {"shop": shop_id, "terms": list(terms)})]


def published_count(documents: int) -> int:
    """The published document frequency in what `term_documents` says: words that are gone count until the next publication."""
    return documents if documents >= 0 else -1 - documents


def _count_filtered(shop_id: int, filters: Sequence[Filter]) -> int:
    sql = f"""SELECT count(*) FROM (SELECT 1 FROM catalog_product p
               WHERE p.shop_id = %(shop)s AND p.retired_at IS NULL {filters_sql(filters)} LIMIT {EXACT + 1}) f"""
    row = query(sql, {"shop": shop_id, **filters_params(filters)}).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates of one search with their evidence, one entry a product, shape (N,) each; NaN where nothing is known."""

    ids: list[int]
    product_ids: list[str]
    text_versions: list[int]
    vector_versions: list[int]
    dense: NDArray[np.float64]
    bm25: NDArray[np.float64]
    product_reward: NDArray[np.float64]
    product_exposure: NDArray[np.float64]
    context_reward: NDArray[np.float64]
    context_exposure: NDArray[np.float64]
    near_reward: NDArray[np.float64]
    near_exposure: NDArray[np.float64]
    recent_reward: NDArray[np.float64]
    recent_exposure: NDArray[np.float64]
    product_breadth: NDArray[np.float64]
    operator: NDArray[np.float64]
    price: list[float | None]
    released_at: list[float | None]  # seconds since 1970
    near_totals: tuple[float, float]
    taste: NDArray[np.float64] | None = None  # cosines with the shopper's vector, where there is one


def candidates_read(
    *,
    shop_id: int,
    snapshot: Snapshot,
    terms: Sequence[str],
    idf: Sequence[float],
    vector: NDArray[np.float32] | None,
    major: int,
    near: Sequence[tuple[int, float]],
    key: str | None,
    filters: Sequence[Filter],
    now: float,
    wants: NDArray[np.float64] | None = None,
    wanted: Sequence[str] = (),
) -> Candidates:
    """Retrieve the candidates and all that scoring them needs, in one statement. `near`: context ids and their weights.

    `wants` (D,) is the vector of the shopper who asks: it finds nothing, and is compared with what was found. `wanted`
    products are candidates though nothing finds them, if they pass the filters.
    """
    options = snapshot.options
    dense = vector is not None and snapshot.has_vectors
    compared = dense and wants is not None
    essential = essential_terms(snapshot.term_documents)
    sql = candidates_sql(
        table=embedding_table(shop_id, major) if dense else None,
        conditions=filters_sql(filters),
        whole=snapshot.filtered <= WHOLE,
        exact=snapshot.filtered <= EXACT,
        probe=not all(essential),
        compared=compared,
    )
    found = query(
        sql,
        {
            "shop": shop_id,
            "terms": list(terms),
            "idf": list(idf),
            "essential": essential,
            "mean_length": snapshot.mean_length,
            "vector": None if vector is None else vector_text(vector),
            "wants": None if wants is None else vector_text(wants),
            "wanted": list(wanted),
            "own": snapshot.context[0] if snapshot.context else None,
            "near": [id_ for id_, _ in near],
            "near_weight": [weight for _, weight in near],
            "key": key or "",
            "now": now,
            "context_half_life": options.context_half_life_seconds,
            "recent_half_life": options.recent_half_life_seconds,
            "global_half_life": options.global_half_life_seconds,
            "breadth_half_life": options.breadth_half_life_seconds,
            **filters_params(filters),
        },
    ).fetchall()
    columns = [list(column) for column in zip(*found, strict=True)] if found else [[] for _ in range(21)]
    numbers = [np.array(column, dtype=np.float64) for column in columns[4:16]]
    return Candidates(
        ids=columns[0],
        product_ids=columns[1],
        text_versions=columns[2],
        vector_versions=columns[3],
        dense=numbers[0],
        bm25=numbers[1],
        product_reward=numbers[2],
        product_exposure=numbers[3],
        context_reward=numbers[4],
        context_exposure=numbers[5],
        near_reward=numbers[6],
        near_exposure=numbers[7],
        recent_reward=numbers[8],
        recent_exposure=numbers[9],
        product_breadth=numbers[10],
        operator=numbers[11],
        price=columns[16],
        released_at=columns[17],
        near_totals=(columns[18][0], columns[19][0]) if found else (0.0, 0.0),
        taste=np.array(columns[20], dtype=np.float64) if compared else None,
    )


def _left(sums: str, half_life: str, at: str = "at") -> str:
    """Share of a decayed sum that is left at the time of the search."""
    return f"power(2.0, -least(greatest(%(now)s - {sums}.{at}, 0) / %({half_life})s, {MOST_HALF_LIVES}))"


def candidates_sql(
    *, table: str | None, conditions: str, whole: bool, exact: bool, probe: bool, compared: bool = False
) -> str:
    """Return the statement of a search. Its text depends on few things, so that a connection prepares it once each.

    With `probe`, only the rarest terms are read in full to find candidates, and the others are looked up for those alone:
    a word that half the catalogue has costs as many look-ups as there are candidates.
    """
    parts = [
        _best("found", "id", "bm25 DESC, id", LEXICAL, conditions),
        "SELECT id FROM learned",
        _popular(conditions),
        "SELECT id FROM fresh",
        f"SELECT p.id FROM catalog_product p WHERE {_LIVE}{conditions} AND p.product_id = ANY(%(wanted)s::text[])",
    ]
    if whole:
        parts = [f"SELECT p.id FROM catalog_product p WHERE {_LIVE}{conditions}"]
    elif table:
        parts.append(_dense(table, conditions, exact=exact))
    return f"""
WITH q AS MATERIALIZED (
  SELECT * FROM unnest(%(terms)s::text[], %(idf)s::double precision[], %(essential)s::boolean[]) AS q (term, idf, essential)
), found AS MATERIALIZED (
  SELECT o.document_id AS id, {_BM25} AS bm25
    FROM q JOIN ranking_posting o ON o.shop_id = %(shop)s AND o.term = q.term
   WHERE q.essential GROUP BY o.document_id
), evidence AS MATERIALIZED (
  SELECT product_id,
         sum(reward) FILTER (WHERE own) AS own_reward, sum(exposure) FILTER (WHERE own) AS own_exposure,
         sum(reward) FILTER (WHERE NOT own) AS near_reward, sum(exposure) FILTER (WHERE NOT own) AS near_exposure,
         sum(recent_reward) FILTER (WHERE own) AS recent_reward,
         sum(recent_exposure) FILTER (WHERE own) AS recent_exposure
    FROM (SELECT w.product_id, n.own,
                 w.recent_reward * {_left("w", "recent_half_life")} AS recent_reward,
                 w.recent_exposure * {_left("w", "recent_half_life")} AS recent_exposure,
                 n.weight * w.reward * {_left("w", "context_half_life")} AS reward,
                 n.weight * w.exposure * {_left("w", "context_half_life")} AS exposure
            FROM (SELECT %(own)s::bigint AS id, 1::double precision AS weight, true AS own
                  UNION ALL
                  SELECT id, weight, false
                    FROM unnest(%(near)s::bigint[], %(near_weight)s::double precision[]) AS n (id, weight)) n
            JOIN ranking_contextweight w ON w.context_id = n.id) e
   GROUP BY product_id
), learned AS (
  SELECT p.id FROM evidence e JOIN catalog_product p ON p.product_id = e.product_id WHERE {_LIVE}{conditions}
   ORDER BY coalesce(e.own_reward, 0) + coalesce(e.near_reward, 0) DESC, p.id LIMIT {LEARNED}
), fresh AS (
  SELECT p.id FROM catalog_product p WHERE {_LIVE}{conditions} ORDER BY p.id DESC LIMIT {FRESH}
), candidate AS MATERIALIZED ({" UNION ".join(f"({part})" for part in parts)})
SELECT p.id, p.product_id, d.description_version, {"coalesce(v.description_version, 0)" if table else "0"},
       {"v.dense" if table else "NULL::double precision"}, coalesce(x.bm25, 0),
       coalesce(g.reward * {_left("g", "global_half_life")}, 0),
       coalesce(g.exposure * {_left("g", "global_half_life")}, 0),
       coalesce(e.own_reward, 0), coalesce(e.own_exposure, 0), coalesce(e.near_reward, 0), coalesce(e.near_exposure, 0),
       coalesce(e.recent_reward, 0), coalesce(e.recent_exposure, 0),
       coalesce(g.breadth * {_left("g", "breadth_half_life", "breadth_at")}, 0),
       coalesce(r.weight, 1), p.price, extract(epoch FROM p.released_at)::double precision,
       (SELECT coalesce(sum(near_reward), 0) FROM evidence), (SELECT coalesce(sum(near_exposure), 0) FROM evidence)
       {", v.taste" if compared else ""}
  FROM candidate c
  {_lookup("d", "description_version FROM ranking_document t WHERE t.id = c.id")}
  {_lookup("p", "id, product_id, price, released_at FROM catalog_product t WHERE t.id = c.id AND t.retired_at IS NULL")}
  LEFT {_BM25_OF_CANDIDATE if probe else "JOIN found x ON x.id = c.id"}
  LEFT JOIN ranking_productweight g ON g.shop_id = %(shop)s AND g.product_id = p.product_id
  LEFT JOIN evidence e ON e.product_id = p.product_id
  LEFT JOIN ({_OPERATOR}) r ON r.product_id = p.product_id
  {"LEFT " + _lookup("v", f"{_OF_VECTOR}{_TASTE * compared} FROM {table} t WHERE t.document_id = c.id") if table else ""}"""


_OF_VECTOR = "description_version, -(vector <#> %(vector)s::vector) AS dense"
_TASTE = ", -(vector <#> %(wants)s::vector) AS taste"
_LIVE = "p.shop_id = %(shop)s AND p.retired_at IS NULL"
_BM25 = f"sum(q.idf * o.tf * {K1 + 1} / (o.tf + {K1} * ({1 - B} + {B} * o.length / %(mean_length)s)))"
_BM25_OF_CANDIDATE = f"""JOIN LATERAL (
    SELECT {_BM25} AS bm25 FROM q CROSS JOIN LATERAL (
      SELECT tf, length FROM ranking_posting t
       WHERE t.shop_id = %(shop)s AND t.term = q.term AND t.document_id = c.id OFFSET 0) o) x ON true"""

# of a product's weights the newest counts, for this query before that for every query; one that ended counts no more
_OPERATOR = """
  SELECT DISTINCT ON (product_id) product_id, weight
    FROM (SELECT DISTINCT ON (product_id, context_key) product_id, context_key, weight, until
            FROM ranking_operatorweight WHERE shop_id = %(shop)s AND context_key IN ('', %(key)s)
           ORDER BY product_id, context_key, position DESC) newest
   WHERE until IS NULL OR until > %(now)s
   ORDER BY product_id, context_key DESC"""


def _lookup(name: str, select: str) -> str:
    """Join one row by key, a candidate at a time: a plan that scans the whole table for some hundred rows is the slow one."""
    return f"JOIN LATERAL (SELECT {select} OFFSET 0) {name} ON true"


def _best(source: str, id_: str, order: str, most: int, conditions: str) -> str:
    """The best ids of a source; the sources hold live products only, so only a filter needs the products themselves."""
    if not conditions:
        return f"SELECT {id_} AS id FROM {source} ORDER BY {order} LIMIT {most}"
    return f"""SELECT p.id FROM {source} JOIN catalog_product p ON p.id = {source.split()[-1]}.{id_}
                WHERE {_LIVE}{conditions} ORDER BY {order.replace(", id", ", p.id")} LIMIT {most}"""


def _popular(conditions: str) -> str:
    """The products of the largest breadth. How they compare does not depend on the time of the search: all decay alike."""
    return f"""SELECT p.id FROM ranking_productweight t JOIN catalog_product p ON p.product_id = t.product_id
                WHERE t.shop_id = %(shop)s AND t.breadth > 0 AND {_LIVE}{conditions}
                ORDER BY {BREADTH_ORDER} DESC, p.id LIMIT {POPULAR}"""


# log of the breadth at time 0; the index ranking_productweight_breadth is on this very text. All rows of a shop have the
# same breadth_life, that of its table of signals
BREADTH_ORDER = "(ln(breadth) + (breadth_at / breadth_life))"


def _dense(table: str, conditions: str, *, exact: bool) -> str:
    # adding 0 keeps the planner from the HNSW index where a scan is exact and affordable
    order = "(vector <#> %(vector)s::vector)" + (" + 0" if exact else "")
    return _best(table, "document_id", order, DENSE, conditions)
