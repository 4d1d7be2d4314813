"""Judgements, and the catalogue in memory as arrays: what the exact formula and the peers are computed from."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.shop import SHOP

Ratings = dict[str, dict[str, float]]  # query -> product_id -> rating
ID_COLUMNS = ("product_id", "docid", "doc_id", "sku")


def judgments_read(path: Path) -> Ratings:
    """Read `query,product_id|docid,rating`; of a pair judged twice the last counts. Ends the program at a bad file."""
    ratings: Ratings = defaultdict(dict)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        id_ = next((name for name in ID_COLUMNS if name in columns), None)
        if id_ is None or not {"query", "rating"} <= set(columns):
            sys.exit(f"{path} should have the columns query, product_id (or docid) and rating; it has {columns}.")
        for row in reader:
            try:
                ratings[row["query"]][row[id_].strip()] = float(row["rating"])
            except (TypeError, ValueError, AttributeError):
                sys.exit(f"{path}, line {reader.line_num}: the rating {row['rating']!r} is no number.")
    return dict(ratings)


def queries_mixed(ratings: Ratings) -> list[str]:
    """Queries that can tell a good ranking from a bad one: those with at least two different ratings."""
    return [query for query, of_query in ratings.items() if len(set(of_query.values())) > 1]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All live products in the order of their ids, N of them."""

    ids: NDArray[np.int64]  # (N,)
    product_ids: list[str]
    texts: list[str]  # title and description
    vectors: NDArray[np.float32]  # (N, D), rows of NaN where there is no vector yet

    @property
    def row_of(self) -> dict[str, int]:
        return {product_id: row for row, product_id in enumerate(self.product_ids)}


def catalogue_read(major: int) -> Catalogue:
    """Read every live product with its stored vector."""
    from eventlog.database import rows
    from ranking.projections.vectors import embedding_table

    found = rows(
        f"""SELECT p.id, p.product_id, p.title || ' ' || p.description, v.vector::real[]
              FROM catalog_product p LEFT JOIN {embedding_table(SHOP, major)} v ON v.document_id = p.id
             WHERE p.shop_id = %s AND p.retired_at IS NULL ORDER BY p.id""",
        [SHOP],
        binary=True,
    )
    ids, product_ids, texts, vectors = zip(*found, strict=True)
    dimensions = next((len(vector) for vector in vectors if vector is not None), 1)
    nothing = np.full(dimensions, np.nan, dtype=np.float32)
    stacked = np.array([nothing if vector is None else vector for vector in vectors], dtype=np.float32)
    return Catalogue(np.array(ids, dtype=np.int64), list(product_ids), list(texts), stacked)
