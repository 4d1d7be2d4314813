"""Fit the default heads of `ranking/relevance.py` on the project's sample shop, and print them.

    python -m bench.fit_head [--encoder e5] [--encoder minilm] [--json]

A head is fitted on the pairs that serving scores: for every query of the shop the 100 nearest products and the 100 best
by words, a rating of 2 or 3 counting as relevant and what is not rated as irrelevant. The intercept for product pages,
baskets and histories comes from the 100 nearest products of every product, those of the same kind being relevant.
An encoder that knows English only is fitted on the English half, since that is where it will be used.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.analysis import query_terms
from ranking.encoders import Encoder, encoder_load, product_text
from ranking.lexical import document_terms, idf, lexical_score, saturate
from ranking.relevance import KINDS, Head, head_fit
from storefront.sample_shop.judgments import JudgedQuery, judged_queries
from storefront.sample_shop.products import Listing, sample_listings

NEAREST = 100
RELEVANT = 2
ENGLISH_ONLY = {"all-MiniLM-L6-v2"}
# A start without opinion: the fit is not drawn towards the head that it replaces.
BLANK = Head(dense=0.0, lexical=0.0, intercepts=dict.fromkeys(KINDS, 0.0), unknown=0.0)
NO_PULL = 1e-3
Floats = NDArray[np.float64]


def lexical_matrix(products: Sequence[dict[str, Any]], queries: Sequence[str], languages: Sequence[str]) -> Floats:
    """Lexical evidence of every query for every product, (Q, N), by the functions that serving uses."""
    documents = [document_terms(product) for product in products]
    lengths = np.array([length for _, length in documents])
    postings: dict[str, Floats] = {}
    for row, (frequencies, _) in enumerate(documents):
        for term, tf in frequencies.items():
            postings.setdefault(term, np.zeros(len(products)))[row] = tf
    weight = {term: idf(int((tf > 0).sum()), len(products)) for term, tf in postings.items()}
    unknown = idf(0, len(products))
    matrix = np.zeros((len(queries), len(products)))
    for row, query in enumerate(queries):
        groups = query_terms(query, languages=languages)
        for term in {term for group in groups for term in group if term in postings}:
            matrix[row] += weight[term] * saturate(postings[term], lengths, float(lengths.mean()))
        largest = [max(weight.get(term, unknown) for term in group) for group in groups]
        matrix[row] = lexical_score(matrix[row], largest)
    return matrix


def served_pairs(dense: Floats, lexical: Floats, relevant: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Cosine, lexical evidence and label of the pairs that serving would score; the inputs are (Q, N)."""
    served = np.zeros(dense.shape, dtype=bool)
    for evidence in (dense, lexical):
        np.put_along_axis(served, np.argsort(-evidence, axis=1, kind="stable")[:, :NEAREST], True, axis=1)
    return dense[served], lexical[served], relevant[served].astype(np.float64)


def ratings_matrix(queries: Sequence[JudgedQuery], product_ids: Sequence[str]) -> NDArray[np.int64]:
    """Ratings, (Q, N); 0 where there is none."""
    return np.array([[query.ratings.get(product_id, 0) for product_id in product_ids] for query in queries])


def query_head(encoder: Encoder, listings: Sequence[Listing], queries: Sequence[JudgedQuery], vectors: Floats) -> Head:
    """The head for typed queries, its `unknown` the mean cosine of the served pairs that share a word."""
    encoded = np.array([encoder.encode_query(query.text) for query in queries], dtype=np.float64)
    languages = sorted({listing.product["language"] for listing in listings})
    lexical = lexical_matrix([listing.product for listing in listings], [query.text for query in queries], languages)
    relevant = ratings_matrix(queries, [listing.product_id for listing in listings]) >= RELEVANT
    cosines, words, labels = served_pairs(encoded @ vectors.T, lexical, relevant)
    fitted = head_fit(cosines, words, labels, default=BLANK, pull=NO_PULL)
    return Head(
        dense=fitted.dense,
        lexical=fitted.lexical,
        intercepts=fitted.intercepts,
        unknown=float(cosines[words > 0].mean()),
    )


def product_intercept(head: Head, listings: Sequence[Listing], vectors: Floats) -> float:
    """The intercept at which ŷ of a product's neighbours is right on average: the share of the same kind."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1.0)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
    kinds = np.array([listing.kind.key for listing in listings])
    same = (kinds[nearest] == kinds[:, None]).mean()
    near = np.take_along_axis(cosines, nearest, axis=1)
    low, high = -200.0, 200.0
    for _ in range(100):
        middle = (low + high) / 2
        too_high = (1 / (1 + np.exp(-(head.dense * near + middle)))).mean() > same
        low, high = (low, middle) if too_high else (middle, high)
    return (low + high) / 2


def fit(name: str, home: Path) -> dict[str, Any]:
    """Everything for one encoder: the head as JSON and what it was fitted on."""
    encoder = encoder_load(name, home=home)
    english = encoder.name in ENGLISH_ONLY
    listings = [each for each in sample_listings() if not english or each.product["language"] == "en"]
    queries = [each for each in judged_queries() if not english or each.text.isascii()]
    vectors = encoder.encode_products([product_text(each.product) for each in listings]).astype(np.float64)
    head = query_head(encoder, listings, queries, vectors)
    others = product_intercept(head, listings, vectors)
    intercepts = {kind: head.intercepts["query"] if kind == "query" else others for kind in KINDS}
    values = {"dense": head.dense, "lexical": head.lexical, "intercepts": intercepts, "unknown": head.unknown}
    return {"encoder": encoder.name, "products": len(listings), "queries": len(queries), "head": values}


def main() -> None:
    """Print a head per encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", action="append", help="e5, minilm, a folder or a hub name; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args()
    home = Path(os.environ.get("FRESHET_HOME", ".local"))
    fitted = [fit(name, home) for name in options.encoder or ["e5", "minilm"]]
    for each in fitted:
        print(f"{each['encoder']}: {each['products']} products, {each['queries']} queries")
        for name, value in each["head"].items():
            print(f"  {name:<12}{value}")
    if options.json:
        print(json.dumps({"heads": fitted}))


if __name__ == "__main__":
    main()
