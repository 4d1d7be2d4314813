"""Reading the curves of examination: the newest of some shops, and the one that was in force at a position."""

from __future__ import annotations

from collections.abc import Collection

from eventlog.database import rows


def curves_in_force(shop_ids: Collection[int]) -> dict[int, list[float]]:
    """The newest curve of each of these shops that has one."""
    sql = """SELECT DISTINCT ON (shop_id) shop_id, curve FROM ranking_examination
              WHERE shop_id = ANY(%s::integer[]) ORDER BY shop_id, position DESC"""
    return dict(rows(sql, [list(shop_ids)]))


def curve_at(*, shop_id: int, position: int) -> list[float]:
    """The curve that was in force at a position of the log; empty where none was estimated until then."""
    sql = (
        """SELECT curve FROM ranking_examination WHERE shop_id = %s AND position <= %s ORDER BY position DESC LIMIT 1"""
    )
    found = rows(sql, [shop_id, position])
    return list(found[0][0]) if found else []
