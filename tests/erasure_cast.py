"""The cast of erasure's tests: shoppers who are erased, and the search for what is left of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventlog.database import rows, scalar
from eventlog.projection import Projection
from feedback.erasure import shopper_erase
from feedback.privacy import SealBroken, personal_open, shopper_hash
from feedback.ranking_token import RankingToken, token_sign
from tests.cast import SHOP_ID

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)  # so that the events' own times count, not that of the test


def token(n: int) -> str:
    return token_sign(
        RankingToken(
            shop_id=SHOP_ID, context_kind="query", context_key=f"query {n}", query=f"Query {n}",
            now=LONG_AGO.timestamp(), model="1.0", positions={"weights": 0},
        )
    )  # fmt: skip


def erase(shopper_id: str) -> str:
    return shopper_erase(shop_id=SHOP_ID, shopper_id=shopper_id, now=LONG_AGO).receipt


def subject_of(pseudonym: bytes) -> UUID:
    found: UUID = scalar("SELECT subject_id FROM feedback_shopper WHERE shopper_hash = %s", [pseudonym])
    return found


def alice_hash() -> bytes:
    return shopper_hash(SHOP_ID, "alice")


def stored(projection: Projection) -> dict[str, list[Any]]:
    return {table: sorted(rows(f"SELECT * FROM {table}"), key=repr) for table in projection.tables}


_COLUMNS = """
SELECT c.table_schema, c.table_name, c.column_name
  FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
 WHERE t.table_type = 'BASE TABLE' AND c.table_schema NOT IN ('pg_catalog', 'information_schema')"""


def places(needle: str) -> set[tuple[str, str]]:
    """Each table and column, whatever its type, whose text holds this; bytes as hex, partitions as their parent."""
    found = set()
    for schema, table, column in rows(_COLUMNS):
        sql = f"""SELECT EXISTS (SELECT 1 FROM "{schema}"."{table}" WHERE strpos("{column}"::text, %s) > 0)"""
        if scalar(sql, [needle]):
            found.add((table.partition("_p0")[0], column))
    return found


def opened() -> dict[UUID, set[UUID]]:
    """Of the personal parts that any key that is left opens: the subjects of the events, by that of the key."""
    keys = [(subject, bytes(key)) for subject, key in rows("SELECT subject_id, key FROM feedback_shopper")]
    found: dict[UUID, set[UUID]] = {}
    for event_id, subject, personal in rows(
        "SELECT event_id, subject_id, personal FROM eventlog_event WHERE personal IS NOT NULL"
    ):
        for owner, key in keys:
            try:
                personal_open(key, event_id, bytes(personal))
            except SealBroken:
                continue
            found.setdefault(owner, set()).add(subject)
    return found
