"""A query's text as the index sees it: terms in the languages of the shop, a misspelt one replaced by the nearest known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from threading import Lock

from cachetools import TTLCache, cached

from eventlog.database import rows
from ranking.analysis import DEFAULT_LANGUAGE, fold, query_terms

LEAST_SIMILARITY = 0.45  # pg_trgm: "headphnes" to "headphon" has 0.58, "mouse" to "house" 0.38
SHORTEST_CORRECTED = 4  # shorter words are too near to each other
MOST_GROUPS = 64  # a search is for some words; a pasted page of 1,000 Chinese characters has some 2,000 terms
_LANGUAGES_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class QueryText:
    """`groups` are the query's terms, each with its variants over the shop's languages; `corrected` what was read instead."""

    groups: tuple[tuple[str, ...], ...]
    corrected: str | None = None

    @property
    def terms(self) -> list[str]:
        return [term for group in self.groups for term in group]

    def largest(self, idf: Sequence[float]) -> list[float]:
        """Of the terms' idf, the largest of each group: a product says a word in one language."""
        left = iter(idf)
        return [max(next(left) for _ in group) for group in self.groups]

    def rarest(self, documents: Sequence[int]) -> tuple[QueryText, list[int]]:
        """The MOST_GROUPS groups that fewest products have, in the query's order, and their `documents`.

        What a term says falls with how many have it, so of a page pasted into the search box the rarest words speak.
        Words that no product has come last: they find nothing.
        """
        if len(self.groups) <= MOST_GROUPS:
            return self, list(documents)
        left = iter(documents)
        counts = [[next(left) for _ in group] for group in self.groups]
        fewest = [min((each for each in group if each >= 0), default=inf) for group in counts]
        kept = sorted(sorted(range(len(counts)), key=fewest.__getitem__)[:MOST_GROUPS])
        return replace(self, groups=tuple(self.groups[n] for n in kept)), [each for n in kept for each in counts[n]]

    def unknown(self, documents: Sequence[int]) -> list[int]:
        """Groups of which the shop knows no variant; `documents` is negative for a term that no product has."""
        left = iter(documents)
        counts = [max(next(left) for _ in group) for group in self.groups]
        return [n for n, count in enumerate(counts) if count < 0]


def query_read(*, shop_id: int, text: str) -> QueryText:
    """Analyse a query in the languages that the shop's products are written in."""
    return QueryText(tuple(query_terms(text, languages=shop_languages(shop_id))))


@cached(TTLCache(maxsize=1000, ttl=_LANGUAGES_SECONDS), lock=Lock())  # the cache alone is not safe between threads
def shop_languages(shop_id: int) -> tuple[str | None, ...]:
    """Languages of a shop's descriptions, as its index has met them."""
    found = rows("SELECT languages FROM ranking_lexicon WHERE shop_id = %s", [shop_id])
    return tuple(found[0][0]) if found and found[0][0] else (DEFAULT_LANGUAGE,)


_NEAREST = """
SELECT q.n, t.term FROM unnest(%s::integer[], %s::text[]) AS q (n, term)
 CROSS JOIN LATERAL (SELECT t.term, similarity(t.term, q.term) AS near, t.documents FROM ranking_term t
                      WHERE t.shop_id = %s AND t.term %% q.term AND t.documents > 0
                      ORDER BY near DESC, t.documents DESC, t.term LIMIT 1) t
 WHERE t.near >= %s"""


def query_correct(*, shop_id: int, text: str, query: QueryText, documents: Sequence[int]) -> QueryText:
    """Replace the terms that no product has by the most similar ones that some have; the same query when there are none."""
    unknown = [n for n in query.unknown(documents) if len(query.groups[n][0]) >= SHORTEST_CORRECTED]
    if not unknown:
        return query
    nearest: dict[int, str] = dict(
        rows(_NEAREST, [unknown, [query.groups[n][0] for n in unknown], shop_id, LEAST_SIMILARITY])
    )
    if not nearest:
        return query
    read = ((nearest[n],) if n in nearest else group for n, group in enumerate(query.groups))
    groups = tuple(dict.fromkeys(read))  # as `query_terms` has it: "mug mugg" asks for one thing
    return QueryText(groups, corrected_text(shop_id, text, {query.groups[n][0]: term for n, term in nearest.items()}))


def corrected_text(shop_id: int, text: str, replaced: dict[str, str]) -> str:
    """Write the query with each misspelt word replaced by the shortest word of a title that has the term."""
    words = []
    for word in text.split():
        stems = [stem for variants in query_terms(word, languages=shop_languages(shop_id)) for stem in variants]
        term = next((replaced[stem] for stem in stems if stem in replaced), None)
        words.append(_written(shop_id, term) if term else word)
    return " ".join(words)


def _written(shop_id: int, term: str) -> str:
    """A word as titles write it, for a stem that no shopper should read ("batteri")."""
    titles = rows(
        """SELECT p.title FROM ranking_posting o JOIN catalog_product p ON p.id = o.document_id
            WHERE o.shop_id = %s AND o.term = %s ORDER BY o.tf DESC, p.id LIMIT 5""",
        [shop_id, term],
    )
    words = {fold(word).strip(".,;:()\"'") for (title,) in titles for word in title.split()}
    languages = shop_languages(shop_id)
    same = [word for word in words if any(term in variants for variants in query_terms(word, languages=languages))]
    return min(same, key=lambda word: (len(word), word), default=term)
