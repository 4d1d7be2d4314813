"""The catalogue as it was at a position of the log, in memory: what the trainer compares queries with.

All is read as of that position (descriptions by version, vectors by description, statistics by publication), so that
training a range again finds the same numbers whatever has changed since.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import orjson
from numpy.typing import NDArray

from eventlog.database import rows
from ranking.analysis import DEFAULT_LANGUAGE, query_terms
from ranking.lexical import document_terms, idf, lexical_score, saturate
from ranking.vector_formats import vectors_matrix

Floats = NDArray[np.float32]
_PLAIN_MEAN_LENGTH = 20.0  # before the first publication; searches say the same


@dataclass(frozen=True)
class CatalogueAt:
    """N products with their vectors (N, D), by row; `rows` finds a product's.

    `public`: rows of the products that were not read because a shopper had seen them; None where nobody asks.
    """

    product_ids: list[str]
    vectors: Floats
    contents: list[str]
    languages: tuple[str | None, ...]
    documents: int
    mean_length: float
    shop_id: int
    position: int
    _lexical: dict[str, Floats] = field(default_factory=dict)
    public: NDArray[np.int64] | None = None

    @cached_property
    def rows(self) -> dict[str, int]:
        return {product_id: row for row, product_id in enumerate(self.product_ids)}

    def lexical(self, query: str) -> Floats:
        """Lexical evidence of every product for a query, (N,) in [0, 1], as a search would have counted it."""
        found = self._lexical.get(query)
        if found is None:
            found = self._lexical[query] = self._score(query)
        return found

    def nearest(self, vector: Floats, count: int) -> NDArray[np.int64]:
        """Rows of the products nearest to a query's vector (D,), best first; ties by row. Where `public` is said, of those."""
        if self.public is not None:
            return self.public[np.argsort(-(self.vectors[self.public] @ vector), kind="stable")[:count]]
        return np.argsort(-(self.vectors @ vector), kind="stable")[:count]

    def _score(self, query: str) -> Floats:
        groups = query_terms(query, languages=self.languages)
        terms = [term for group in groups for term in group]
        idfs = dict(zip(terms, self._idfs(terms), strict=True))
        bm25 = np.zeros(len(self.product_ids))
        for term, value in idfs.items():
            if term in self._postings:
                at, saturated = self._postings[term]
                bm25[at] += value * saturated
        return lexical_score(bm25, [max(idfs[term] for term in group) for group in groups]).astype(np.float32)

    @cached_property
    def _postings(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Rows that hold a term, and its saturated frequency there."""
        found: dict[str, tuple[list[int], list[float]]] = {}
        for row, content in enumerate(self.contents):
            frequencies, length = document_terms(orjson.loads(content))
            for term, frequency in frequencies.items():
                at, saturated = found.setdefault(term, ([], []))
                at.append(row)
                saturated.append(saturate(frequency, length, self.mean_length))
        return {term: (np.array(at), np.array(saturated)) for term, (at, saturated) in found.items()}

    def _idfs(self, terms: list[str]) -> list[float]:
        sql = """SELECT coalesce((SELECT t.documents FROM ranking_termpublication t
                                   WHERE t.shop_id = %s AND t.term = q.term AND t.position <= %s
                                   ORDER BY t.position DESC LIMIT 1), 0)
                   FROM unnest(%s::text[]) WITH ORDINALITY AS q (term, n) ORDER BY q.n"""
        return [idf(count, self.documents) for (count,) in rows(sql, [self.shop_id, self.position, terms])]


# a sample that is the same each time, as _CHOSEN orders it
_SAMPLED = """
SELECT product_id FROM (SELECT DISTINCT product_id FROM catalog_descriptionversion
                         WHERE shop_id = %s AND position <= %s) p
 ORDER BY hashtextextended(product_id, %s), product_id LIMIT %s"""
# the products named, and a sample of the others
_CHOSEN = """
SELECT product_id FROM (SELECT DISTINCT product_id FROM catalog_descriptionversion
                         WHERE shop_id = %(shop)s AND position <= %(position)s) p
 ORDER BY (product_id = ANY(%(named)s::text[])) DESC, hashtextextended(product_id, %(seed)s), product_id
 LIMIT %(most)s"""
_READ = f"""
SELECT c.product_id, c.content::text, w.vector
  FROM (SELECT DISTINCT ON (product_id) product_id, version, content FROM catalog_descriptionversion
         WHERE shop_id = %(shop)s AND position <= %(position)s AND product_id IN ({_CHOSEN})
         ORDER BY product_id, version DESC) c
  JOIN ranking_descriptionvector v
    ON v.shop_id = %(shop)s AND v.product_id = c.product_id AND v.description_version = c.version AND v.major = %(major)s
  JOIN ranking_vector w ON w.hash = v.hash
 ORDER BY c.product_id COLLATE "C" """
_PUBLISHED = """
SELECT documents, mean_length FROM ranking_publication
 WHERE shop_id = %s AND position <= %s ORDER BY position DESC LIMIT 1"""
_LANGUAGES = """
SELECT DISTINCT content->>'language' FROM catalog_descriptionversion WHERE shop_id = %s AND position <= %s ORDER BY 1"""


def catalogue_at(
    *, shop_id: int, position: int, major: int, named: Collection[str], pool: int, seed: int
) -> CatalogueAt:
    """Read the products named and up to `pool` others, each as described at a position; those without a vector are left out."""
    asked = {
        "shop": shop_id,
        "position": position,
        "major": major,
        "named": list(named),
        "most": pool + len(named),
        "seed": seed,
    }
    found = rows(_READ, asked, binary=True)
    published = rows(_PUBLISHED, [shop_id, position])
    documents, mean_length = published[0] if published else (0, _PLAIN_MEAN_LENGTH)
    languages = tuple(language for (language,) in rows(_LANGUAGES, [shop_id, position]))
    return CatalogueAt(
        product_ids=[product_id for product_id, _, _ in found],
        vectors=vectors_matrix([bytes(vector) for _, _, vector in found]),
        contents=[content for _, content, _ in found],
        languages=languages or (DEFAULT_LANGUAGE,),
        documents=documents,
        mean_length=mean_length,
        shop_id=shop_id,
        position=position,
    )


def public_only(catalogue: CatalogueAt, *, pool: int, seed: int) -> CatalogueAt:
    """The same catalogue, in which `nearest` finds only the `pool` products that it holds whoever was named."""
    sampled = rows(_SAMPLED, [catalogue.shop_id, catalogue.position, seed, pool])
    there = sorted(catalogue.rows[product_id] for (product_id,) in sampled if product_id in catalogue.rows)
    return replace(catalogue, public=np.array(there, dtype=np.int64))


def public_rows(catalogue: CatalogueAt) -> NDArray[np.int64]:
    """Rows of the products that are in a catalogue whatever shoppers did: all where nobody asked which."""
    return np.arange(len(catalogue.product_ids)) if catalogue.public is None else catalogue.public


def vectors_missing(*, shop_id: int, position: int, major: int, named: Collection[str]) -> int:
    """How many of the products named that are still sold have no vector yet of their description at a position."""
    sql = """SELECT count(*) FROM ranking_document d
               LEFT JOIN ranking_descriptionvector v ON v.shop_id = d.shop_id AND v.product_id = d.product_id
                AND v.major = %s AND v.description_version = (
                      SELECT max(c.version) FROM catalog_descriptionversion c
                       WHERE c.shop_id = d.shop_id AND c.product_id = d.product_id AND c.position <= %s)
              WHERE d.shop_id = %s AND d.product_id = ANY(%s::text[]) AND NOT d.retired AND v.hash IS NULL"""
    return int(rows(sql, [major, position, shop_id, list(named)])[0][0])
