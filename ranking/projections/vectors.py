"""Current vectors: one table a shop and major version, with the newest embedded description version of each live product."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.events import ProductRetired
from eventlog.database import query, rows, scalar
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import DescriptionEmbedded, MajorVersionRetired


def embedding_table(shop_id: int, major: int) -> str:
    """Name of the table of current vectors of a shop under a major version."""
    return f"ranking_embedding_{int(shop_id)}_{int(major)}"


class Vectors(Projection):
    name = "vectors"
    event_types = frozenset({DescriptionEmbedded.type, ProductRetired.type, MajorVersionRetired.type})

    @property
    def tables(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("ranking_descriptionvector", "ranking_retiredproduct", "ranking_retiredmajor", *embedding_tables())

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        embedded: dict[tuple[int, int], list[RecordedEvent]] = {}
        for event in events:
            if event.type == DescriptionEmbedded.type:
                embedded.setdefault((event.shop_id, event.data["major"]), []).append(event)
        for event in events:
            if event.type == MajorVersionRetired.type:
                query(
                    "INSERT INTO ranking_retiredmajor (shop_id, major) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                    [event.shop_id, event.data["major"]],
                )
        for (shop_id, major), of_major in embedded.items():
            _remember(shop_id, major, of_major)
            if not _is_retired(shop_id, major):
                _make_current(shop_id, major, of_major)
        retired = [(event.shop_id, event.data["product_id"]) for event in events if event.type == ProductRetired.type]
        if retired:
            _drop(retired)


vectors = Vectors()


def embedding_tables(shop_id: int | None = None, *, retired: bool = False) -> list[str]:
    """The tables of current vectors; with `retired` those of major versions that are retired, else the others."""
    pattern = "^ranking_embedding_" + (r"\d+" if shop_id is None else str(shop_id)) + r"_\d+$"
    sql = """SELECT relname FROM pg_class
              WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname ~ %s
                AND %s = EXISTS (SELECT 1 FROM public.ranking_retiredmajor r
                                  WHERE relname = format('ranking_embedding_%%s_%%s', r.shop_id, r.major)) ORDER BY 1"""
    return [name for (name,) in rows(sql, [pattern, retired])]


def _is_retired(shop_id: int, major: int) -> bool:
    """A rebuild asks the live table: it comes to the vectors of a major version long before it comes to its end."""
    sql = "SELECT 1 FROM public.ranking_retiredmajor WHERE shop_id = %s AND major = %s"
    return scalar(sql, [shop_id, major]) is not None


def _remember(shop_id: int, major: int, events: Sequence[RecordedEvent]) -> None:
    query(
        """INSERT INTO ranking_descriptionvector (shop_id, product_id, description_version, major, hash)
           SELECT %s, g.product_id, g.version, %s, decode(g.hash, 'hex')
             FROM unnest(%s::text[], %s::integer[], %s::text[]) AS g (product_id, version, hash)
           ON CONFLICT DO NOTHING""",
        [
            shop_id,
            major,
            [event.data["product_id"] for event in events],
            [event.data["description_version"] for event in events],
            [event.data["vector_hash"] for event in events],
        ],
    )


def _make_current(shop_id: int, major: int, events: Sequence[RecordedEvent]) -> None:
    """Put the newest version's vector of each product in place; the older ones stay under their hash."""
    newest: dict[int, RecordedEvent] = {}
    for event in events:
        document = event.data["document_id"]
        if document not in newest or event.data["description_version"] >= newest[document].data["description_version"]:
            newest[document] = event
    table = embedding_table(shop_id, major)
    _make_table(table, vector_hash=events[0].data["vector_hash"])
    # a vector that was on its way when its product retired must not come back
    query(
        f"""INSERT INTO {table} AS t (document_id, product_id, description_version, vector)
            SELECT g.document_id, g.product_id, g.version, v.vector
              FROM unnest(%s::bigint[], %s::text[], %s::integer[], %s::text[]) AS g (document_id, product_id, version, hash)
              JOIN ranking_vector v ON v.hash = decode(g.hash, 'hex')
             WHERE NOT EXISTS (SELECT 1 FROM ranking_retiredproduct r WHERE r.shop_id = %s AND r.product_id = g.product_id)
            ON CONFLICT (document_id) DO UPDATE
              SET description_version = excluded.description_version, vector = excluded.vector
            WHERE t.description_version <= excluded.description_version""",
        [
            list(newest),
            [event.data["product_id"] for event in newest.values()],
            [event.data["description_version"] for event in newest.values()],
            [event.data["vector_hash"] for event in newest.values()],
            shop_id,
        ],
    )


def _make_table(table: str, *, vector_hash: str) -> None:
    """Make the table of current vectors, once. A rebuild that comes to the first vector of a major makes the live one
    too, or it would write into a live one that is made meanwhile, and `tables` would not name its own."""
    if scalar("SELECT to_regclass(quote_ident(current_schema()) || '.' || %s)", [table]):
        return
    dimensions = int(
        scalar("SELECT vector_dims(vector) FROM ranking_vector WHERE hash = decode(%s, 'hex')", [vector_hash])
    )
    query(
        f"""CREATE TABLE IF NOT EXISTS public.{table} (
              document_id bigint PRIMARY KEY, product_id text NOT NULL, description_version integer NOT NULL,
              vector vector({dimensions}) NOT NULL)"""
    )
    query(f"CREATE TABLE IF NOT EXISTS {table} (LIKE public.{table} INCLUDING ALL)")


def _drop(retired: list[tuple[int, str]]) -> None:
    for shop_id in {shop_id for shop_id, _ in retired}:
        product_ids = [product_id for shop, product_id in retired if shop == shop_id]
        query(
            "INSERT INTO ranking_retiredproduct (shop_id, product_id) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING",
            [shop_id, product_ids],
        )
        for table in embedding_tables(shop_id):
            query(f"DELETE FROM {table} WHERE product_id = ANY(%s::text[])", [product_ids])
