"""The formula over all products: every vector multiplied, every posting of every term summed, nothing cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.search_quality_data import Catalogue
from bench.shop import SHOP

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exact:
    """The evidence of one query for every product, (N,) each."""

    dense: Floats
    lexical: Floats


def exact_evidence(catalogue: Catalogue, query: str) -> Exact:
    """Read the query as a search does, then take all products: the same functions, the published statistics."""
    from ranking.lexical import idf, lexical_score
    from ranking.query_text import query_correct, query_read
    from ranking.retrieval import published_count, term_documents
    from ranking.towers import query_vectors, serving

    read = query_read(shop_id=SHOP, text=query)
    text = query_correct(shop_id=SHOP, text=query, query=read, documents=term_documents(SHOP, read.terms))
    published, mean_length = _published()
    idfs = [idf(published_count(documents), published) for documents in term_documents(SHOP, text.terms)]
    bm25 = _bm25(catalogue, text.terms, idfs, mean_length)
    vector = query_vectors.get(serving.model(SHOP), query)
    dense = (catalogue.vectors @ vector.astype(np.float32)).astype(np.float64)
    return Exact(dense=dense, lexical=lexical_score(bm25, text.largest(idfs)))


def exact_order(catalogue: Catalogue, relevance: Floats) -> list[str]:
    """Ids of all products, best first; ties by product_id, as searches have it (weights are 1 before any feedback)."""
    by_id = np.array(sorted(range(len(relevance)), key=catalogue.product_ids.__getitem__), dtype=np.int64)
    return [catalogue.product_ids[row] for row in by_id[np.argsort(-relevance[by_id], kind="stable")]]


def _published() -> tuple[int, float]:
    from eventlog.database import rows

    sql = "SELECT documents, mean_length FROM ranking_publication WHERE shop_id = %s ORDER BY position DESC LIMIT 1"
    documents, mean_length = rows(sql, [SHOP])[0]
    return int(documents), float(mean_length)


def _bm25(catalogue: Catalogue, terms: Sequence[str], idfs: Sequence[float], mean_length: float) -> Floats:
    from eventlog.database import rows
    from ranking.lexical import saturate

    total = np.zeros(len(catalogue.ids))
    for term, weight in zip(terms, idfs, strict=True):
        sql = "SELECT document_id, tf, length FROM ranking_posting WHERE shop_id = %s AND term = %s"
        found = rows(sql, [SHOP, term])
        if found:
            ids, tf, length = (np.array(column, dtype=np.float64) for column in zip(*found, strict=True))
            at = np.searchsorted(catalogue.ids, ids.astype(np.int64))
            total[at] += weight * saturate(tf, length, mean_length)
    return total
