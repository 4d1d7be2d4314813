"""Descriptions to postings: the rows that BM25 is summed from, and the statistics that it counts with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from catalog.events import ProductDescribed, ProductRetired
from eventlog.database import copy_rows, query, rows
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.analysis import DEFAULT_LANGUAGE
from ranking.events import LexicalStatisticsPublished
from ranking.lexical import document_terms


@dataclass(frozen=True, slots=True)
class Indexed:
    """A description as the index keeps it."""

    product_id: str
    position: int
    version: int
    terms: dict[str, float]
    length: float


class Postings(Projection):
    name = "postings"
    event_types = frozenset({ProductDescribed.type, ProductRetired.type, LexicalStatisticsPublished.type})
    tables = (
        "ranking_document",
        "ranking_posting",
        "ranking_term",
        "ranking_lexicon",
        "ranking_publication",
        "ranking_termpublication",
    )

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        # a publication counts what stands before it, so it cuts the batch
        for published, run in groupby(events, key=lambda event: event.type == LexicalStatisticsPublished.type):
            if published:
                for event in run:
                    publish(event)
            else:
                index(list(run))


postings = Postings()


def index(events: Sequence[RecordedEvent]) -> None:
    """Bring postings, documents and counts forward by descriptions and retirements, a shop at a time."""
    by_shop: dict[int, list[RecordedEvent]] = {}
    for event in events:
        by_shop.setdefault(event.shop_id, []).append(event)
    for shop_id, of_shop in by_shop.items():
        described, retired = _newest(of_shop)
        for product_id, known in _versions(shop_id, list(described)):
            if known > described[product_id].version:  # it was parked, and retried after a newer one
                del described[product_id]
        frequencies: Counter[str] = Counter()
        lengths = _forget(shop_id, [*described, *retired], frequencies)
        documents = _documents(shop_id, list(described.values()))
        _retire(shop_id, list(retired))
        live = [(id_, document) for id_, document in documents if document.product_id not in retired]
        _insert(shop_id, live, frequencies)
        languages = {
            event.data.get("language") or DEFAULT_LANGUAGE for event in of_shop if event.type == ProductDescribed.type
        }
        _count(shop_id, live, lengths, frequencies, sorted(languages), changes=len(of_shop))


def _newest(events: Sequence[RecordedEvent]) -> tuple[dict[str, Indexed], set[str]]:
    first: dict[str, int] = {}
    newest: dict[str, RecordedEvent] = {}
    retired: set[str] = set()
    for event in events:
        product_id = event.data["product_id"]
        if event.type == ProductRetired.type:
            retired.add(product_id)
        else:
            first.setdefault(product_id, event.position)
            if product_id not in newest or (event.version or 1) >= (newest[product_id].version or 1):
                newest[product_id] = event
    described: dict[str, Indexed] = {}
    for product_id, event in newest.items():
        terms, length = document_terms(event.data)
        described[product_id] = Indexed(product_id, first[product_id], event.version or 1, terms, length)
    return described, retired


def _versions(shop_id: int, product_ids: list[str]) -> list[tuple[str, int]]:
    """The description versions that are in the index."""
    sql = "SELECT product_id, description_version FROM ranking_document WHERE shop_id = %s AND product_id = ANY(%s::text[])"
    return [(product_id, version) for product_id, version in rows(sql, [shop_id, product_ids])]


def _forget(shop_id: int, product_ids: list[str], frequencies: Counter[str]) -> list[float]:
    """Take the old postings of these products out; return the lengths of the documents that had been live."""
    sql = "SELECT id, length FROM ranking_document WHERE shop_id = %s AND product_id = ANY(%s::text[]) AND NOT retired"
    known = rows(sql, [shop_id, product_ids])
    if known:
        gone = query(
            "DELETE FROM ranking_posting WHERE document_id = ANY(%s::bigint[]) RETURNING term",
            [[id_ for id_, _ in known]],
        )
        for (term,) in gone:
            frequencies[term] -= 1
    return [length for _, length in known]


def _documents(shop_id: int, described: list[Indexed]) -> list[tuple[int, Indexed]]:
    """Upsert the documents; return those that are live, with their ids."""
    sql = """
    INSERT INTO ranking_document AS d (id, shop_id, product_id, description_version, length)
    SELECT g.id, %s, g.product_id, g.version, g.length
      FROM unnest(%s::bigint[], %s::text[], %s::integer[], %s::real[]) AS g (id, product_id, version, length)
    ON CONFLICT (shop_id, product_id) DO UPDATE SET description_version = excluded.description_version, length = excluded.length
    RETURNING id, product_id, retired"""
    columns = [
        [each.position for each in described],
        [each.product_id for each in described],
        [each.version for each in described],
        [each.length for each in described],
    ]
    by_product = {each.product_id: each for each in described}
    return [(id_, by_product[product_id]) for id_, product_id, retired in rows(sql, [shop_id, *columns]) if not retired]


def _retire(shop_id: int, product_ids: list[str]) -> None:
    sql = "UPDATE ranking_document SET retired = true WHERE shop_id = %s AND product_id = ANY(%s::text[])"
    query(sql, [shop_id, product_ids])


def _insert(shop_id: int, live: list[tuple[int, Indexed]], frequencies: Counter[str]) -> None:
    records = [
        (shop_id, term, id_, tf, document.length) for id_, document in live for term, tf in document.terms.items()
    ]
    frequencies.update(term for _, term, _, _, _ in records)
    records.sort(key=lambda record: record[1])  # neighbours in the index are written together
    copy_rows("ranking_posting", ["shop_id", "term", "document_id", "tf", "length"], records)


def _count(
    shop_id: int,
    live: list[tuple[int, Indexed]],
    gone: list[float],
    frequencies: Counter[str],
    languages: list[str],
    *,
    changes: int,
) -> None:
    moved = sorted((term, count) for term, count in frequencies.items() if count)
    query(
        """INSERT INTO ranking_term AS t (shop_id, term, documents)
           SELECT %s, g.term, g.n FROM unnest(%s::text[], %s::integer[]) AS g (term, n)
           ON CONFLICT (shop_id, term) DO UPDATE SET documents = t.documents + excluded.documents""",
        [shop_id, [term for term, _ in moved], [count for _, count in moved]],
    )
    _forget_terms(shop_id, [term for term, count in moved if count < 0])
    length = sum(document.length for _, document in live) - sum(gone)
    query(
        """INSERT INTO ranking_lexicon AS l (shop_id, documents, total_length, changes, languages) VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (shop_id) DO UPDATE SET documents = l.documents + excluded.documents,
             total_length = l.total_length + excluded.total_length, changes = l.changes + excluded.changes,
             languages = ARRAY(SELECT DISTINCT unnest(l.languages || excluded.languages) ORDER BY 1)""",
        [shop_id, len(live) - len(gone), length, changes, languages],
    )


def _forget_terms(shop_id: int, terms: list[str]) -> None:
    """Drop the terms that no product has and no publication counts, so that what remains does not depend on batches."""
    sql = "DELETE FROM ranking_term WHERE shop_id = %s AND term = ANY(%s::text[]) AND documents = 0 AND published_documents = 0"
    query(sql, [shop_id, terms])


def publish(event: RecordedEvent) -> None:
    """Let scores count with the statistics as they stand just before this event."""
    query(
        """INSERT INTO ranking_publication (shop_id, position, documents, mean_length, published_at)
           SELECT shop_id, %s, documents, total_length / greatest(documents, 1), %s FROM ranking_lexicon WHERE shop_id = %s""",
        [event.position, event.effective_at, event.shop_id],
    )
    gone = rows(
        """WITH changed AS (
             UPDATE ranking_term SET published_documents = documents
              WHERE shop_id = %s AND published_documents <> documents RETURNING term, documents
           ), kept AS (
             INSERT INTO ranking_termpublication (shop_id, term, position, documents)
             SELECT %s, term, %s, documents FROM changed)
           SELECT term FROM changed WHERE documents = 0""",
        [event.shop_id, event.shop_id, event.position],
    )
    _forget_terms(event.shop_id, [term for (term,) in gone])
    query("UPDATE ranking_lexicon SET changes = 0 WHERE shop_id = %s", [event.shop_id])
