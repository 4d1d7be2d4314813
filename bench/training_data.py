"""What bench/training.py and bench/robustness.py learn from: files by path, without a database."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bench.search_quality_data import ID_COLUMNS, judgments_read
from bench.shop import map_choose
from catalog.importers.rows import source_open
from ranking.analysis import DEFAULT_LANGUAGE
from ranking.encoders import Encoder, product_text
from ranking.learning.catalogue import CatalogueAt
from ranking.lexical import document_terms, idf

Pair = tuple[str, str]  # query, product id
RELEVANT = 2.0


class FileCatalogue(CatalogueAt):
    """A catalogue whose statistics are those of its own products."""

    def _idfs(self, terms: list[str]) -> list[float]:
        return [idf(len(self._postings[term][0]) if term in self._postings else 0, self.documents) for term in terms]


def products_read(path: Path, *, map_name: str | None = None) -> dict[str, dict[str, Any]]:
    """Products by id, with the fields of `POST /v1/products`."""
    source = source_open(path, map_name=map_choose(path, map_name))
    rows = (row.product for row in source.rows())
    return {str(row["product_id"]): row for row in rows if isinstance(row, dict) and row.get("title")}


def pairs_read(*, judgments: Path | None, clicks: Path | None, seed: int) -> list[Pair]:
    """What was wanted for which query, shuffled: clicks where a log is given, else ratings of at least 2."""
    if clicks is not None:
        found = list(_clicks(clicks))
    elif judgments is not None:
        rated = judgments_read(judgments)
        found = [
            (query, product) for query, of in rated.items() for product, rating in of.items() if rating >= RELEVANT
        ]
    else:
        sys.exit("No pairs: give --judgments FILE or --clicks FILE, or set FRESHET_DATA.")
    random.Random(seed).shuffle(found)
    return found


def _clicks(path: Path) -> Iterator[Pair]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        id_ = next((name for name in ID_COLUMNS if name in (reader.fieldnames or ())), None)
        if id_ is None or "query" not in (reader.fieldnames or ()):
            sys.exit(f"{path} should have the columns query and product_id or sku.")
        yield from ((row["query"], row[id_]) for row in reader if row["query"] and row["query"].strip() and row[id_])


def catalogue_make(encoder: Encoder, products: Mapping[str, Mapping[str, Any]], ids: Sequence[str]) -> FileCatalogue:
    """The products of these ids with their vectors, encoded here."""
    lengths = [document_terms(products[product_id])[1] for product_id in ids]
    return FileCatalogue(
        product_ids=list(ids),
        vectors=encoder.encode_products([product_text(products[product_id]) for product_id in ids]),
        contents=[orjson.dumps(products[product_id]).decode() for product_id in ids],
        languages=tuple(sorted({str(products[each].get("language") or DEFAULT_LANGUAGE) for each in ids})),
        documents=len(ids),
        mean_length=float(np.mean(lengths)),
        shop_id=0,
        position=0,
    )
