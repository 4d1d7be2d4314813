"""Lexical evidence: BM25 over weighted fields (BM25F), divided by the largest value the query could get (pure).

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009). A product is one document whose
term frequencies are sums over its fields, each with a weight, saturated once. So a score is one SQL sum over postings
(term, product, tf, length) joined to the query's terms (term, idf):

    sum(idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / mean_length)))
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ranking.analysis import terms

Floats = NDArray[np.float64]

# A product is a short document: that a word is there says most, how often says little, and a long text is no padding.
# So both are below the 1.2 and 0.75 of web and newspaper search.
K1 = 0.8
B = 0.4
# What a product is called outweighs what is said about it. Attributes name what titles leave out ("wireless: yes").
TITLE = 2.0
CATEGORY = 2.0
BRAND = 1.0
DESCRIPTION = 1.0
ATTRIBUTE = 0.5
READ = 4000  # postings that are read in full to find lexical candidates


def document_terms(product: Mapping[str, Any]) -> tuple[dict[str, float], float]:
    """Weighted term frequencies of a product with the fields of `POST /v1/products`, and its weighted length.

    An attribute counts a term once however often its values repeat it, and adds nothing to the length: a well
    described product is not a long-winded one.
    """
    language = product.get("language")
    frequencies: defaultdict[str, float] = defaultdict(float)
    length = 0.0
    for weight, text in _weighted_texts(product):
        found = terms(text, language=language)
        length += weight * len(found)
        for term in found:
            frequencies[term] += weight
    texts = attribute_texts(product.get("attributes") or {})
    said = dict.fromkeys(term for text in texts for term in terms(text, language=language))
    for term in said:
        frequencies[term] += ATTRIBUTE
    return dict(frequencies), length


def attribute_texts(attributes: Mapping[str, Any]) -> Iterator[str]:
    """The words of attributes: text values, and the names of what a product has (`{"touchscreen": true}`).

    Bare numbers are left to filters: "10" alone is found everywhere and means nothing.
    """
    for name, value in attributes.items():
        if value is True:
            yield name.replace("_", " ")
        elif isinstance(value, str):
            yield value
        elif isinstance(value, Sequence):
            yield from (str(item) for item in value if isinstance(item, str))


def idf(document_frequency: int, documents: int) -> float:
    """Inverse document frequency, > 0: log(1 + (N - n + 0.5) / (n + 0.5)).

    `document_frequency` may pass `documents` when the published statistics lag behind; it then counts as all of them.
    """
    found = min(max(document_frequency, 0), documents)
    return math.log1p((documents - found + 0.5) / (found + 0.5))


@overload
def saturate(tf: float, length: float, mean_length: float) -> float: ...
@overload
def saturate(tf: Floats, length: Floats, mean_length: float) -> Floats: ...
def saturate(tf: float | Floats, length: float | Floats, mean_length: float) -> float | Floats:
    """A term's frequency as BM25 counts it, in [0, K1 + 1); numbers or arrays of one shape."""
    relative = length / mean_length if mean_length > 0 else 1.0
    return tf * (K1 + 1) / (tf + K1 * (1 - B + B * relative))


def lexical_score(bm25: Floats, idfs: Iterable[float]) -> Floats:
    """BM25 sums (N,) as lexical evidence in [0, 1], given the idf of each of the query's terms (known or not).

    The bound is the sum at endless frequencies. A query without terms gets 0 everywhere.
    """
    largest = (K1 + 1) * sum(idfs)
    if largest <= 0:
        return np.zeros_like(bm25)
    return np.clip(bm25 / largest, 0.0, 1.0)


def essential_terms(documents: Sequence[int]) -> list[bool]:
    """Which terms find candidates: the rarest, until they have READ postings together; at least one that products have."""
    chosen, postings = set[int](), 0
    for n in sorted(range(len(documents)), key=documents.__getitem__):
        if not postings or postings + documents[n] <= READ:
            chosen.add(n)
            postings += max(documents[n], 0)
    return [n in chosen for n in range(len(documents))]


def _weighted_texts(product: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    yield TITLE, str(product["title"])
    yield BRAND, str(product.get("brand") or "")
    yield CATEGORY, " . ".join(str(name) for name in product.get("category") or [])
    yield DESCRIPTION, str(product.get("description") or "")
