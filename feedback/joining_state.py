"""The stored state of the click-through join, read as far as a batch can touch it, whatever else its rankings hold.

Thousands of shoppers may share one ranking (a cached page). What is read is what is due, what may follow from it, and of
all other impressions only when the first was shown that an interaction may follow from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from eventlog.database import query, rows
from feedback.joining import Acted, ClickThrough, Join, Key, Moment, Shown, Staying

# Of a ranking's impressions that are not due, the first: by one subject, by nobody known, by anyone. Each is the first
# fitting entry of an index from a place on. The subject is compared as a range, and the order begins with it, because
# only the index that holds it gives that order: a plan made on small tables would walk all of a ranking otherwise.
_FIRST = """
(SELECT j.shown_at FROM feedback_open_impression j
  WHERE j.shop_id = %(shop)s AND j.ranking_ref = g.ref AND j.due_at > %(until)s AND j.items @> g.items"""
_OF_SUBJECT = f"""{_FIRST} AND j.subject_id >= g.subject AND j.subject_id <= g.subject
  ORDER BY j.subject_id, j.due_at LIMIT 1)"""
_OF_NOBODY = f"{_FIRST} AND j.subject_id IS NULL ORDER BY j.subject_id, j.due_at LIMIT 1)"
_OF_ANYONE = f"{_FIRST} ORDER BY j.due_at LIMIT 1)"
_BY_INDEX = "SELECT " + ", ".join(
    f"set_config('enable_{each}', 'off', true)" for each in ("seqscan", "sort", "incremental_sort", "bitmapscan")
)


def join_read(shop_id: int, moments: Sequence[Moment]) -> Join:
    """Read what these moments can close or touch."""
    with transaction.atomic():  # `_BY_INDEX` holds for a transaction
        query(_BY_INDEX)
        return _join_read(shop_id, moments)


def _join_read(shop_id: int, moments: Sequence[Moment]) -> Join:
    until = max(moment.at for moment in moments)
    impressions = _due(Shown, "feedback_open_impression", shop_id, until)
    new = [moment.what for moment in moments if moment.what is not None and moment.what.ranking_ref is not None]
    closing = impressions + [each for each in new if isinstance(each, Shown) and each.due_at <= until]
    waiting = {each.position: each for each in _due(Acted, "feedback_open_interaction", shop_id, until)}
    waiting |= {each.position: each for each in _following(shop_id, closing, until)}
    acted = [each for each in new if isinstance(each, Acted)]
    staying = _staying(shop_id, {_key(each) for each in [*waiting.values(), *acted]}, until)
    asking = {(ref, product) for ref, product, _ in {_key(each) for each in acted} - staying.first.keys()}
    return Join.of(impressions, waiting.values(), _closed(shop_id, asking), staying)


def _key(interaction: Acted) -> Key:
    return interaction.ranking_ref or "", interaction.product_id, interaction.subject_id


def _due(kind: type[Any], table: str, shop_id: int, until: datetime) -> list[Any]:
    sql = f"SELECT {_columns(kind)} FROM {table} WHERE shop_id = %s AND due_at <= %s ORDER BY due_at, position"
    return [kind(*row) for row in rows(sql, [shop_id, until])]


# An impression that is not due and shows all that the closing one shows bounds what may follow from the closing one.
_FOLLOWING = """
WITH closing AS MATERIALIZED (
  SELECT u.ref, u.subject, ARRAY(SELECT jsonb_array_elements_text(u.items::jsonb)) AS items
    FROM unnest(%(refs)s::text[], %(subjects)s::uuid[], %(items)s::text[]) AS u (ref, subject, items)
   WHERE (SELECT true FROM feedback_open_interaction a WHERE a.shop_id = %(shop)s AND a.ranking_ref = u.ref LIMIT 1)
), bounded AS MATERIALIZED (
  SELECT g.*, coalesce(least(""" + _OF_SUBJECT + "," + _OF_NOBODY + """), 'infinity') AS own_until,
         coalesce(""" + _OF_NOBODY + """, 'infinity') AS nobodys_until,
         coalesce(""" + _OF_ANYONE + """, 'infinity') AS anyones_until
    FROM closing g
)
SELECT {columns} FROM bounded g CROSS JOIN LATERAL (
  SELECT a.* FROM feedback_open_interaction a
   WHERE a.shop_id = %(shop)s AND a.ranking_ref = g.ref AND a.subject_id = g.subject AND a.at < g.own_until
  UNION ALL
  SELECT a.* FROM feedback_open_interaction a
   WHERE a.shop_id = %(shop)s AND a.ranking_ref = g.ref AND a.subject_id IS NULL AND a.at < g.anyones_until
  UNION ALL
  SELECT a.* FROM feedback_open_interaction a
   WHERE a.shop_id = %(shop)s AND a.ranking_ref = g.ref AND g.subject IS NULL AND a.subject_id IS NOT NULL
     AND a.at < g.nobodys_until) a
 WHERE a.product_id = ANY(g.items)"""  # fmt: skip


def _following(shop_id: int, closing: Collection[Shown], until: datetime) -> list[Acted]:
    """The stored interactions that may follow from impressions that close."""
    groups = {(each.ranking_ref, each.subject_id, tuple(sorted(set(each.items)))) for each in closing}
    if not groups:
        return []
    refs, subjects, items = zip(*groups, strict=True)
    given = {
        "shop": shop_id,
        "until": until,
        "refs": list(refs),
        "subjects": list(subjects),
        "items": [orjson.dumps(each).decode() for each in items],
    }
    columns = ", ".join(f"a.{each.name}" for each in fields(Acted))
    return [Acted(*row) for row in rows(_FOLLOWING.format(columns=columns), given)]


_STAYING = """
WITH given AS MATERIALIZED (
  SELECT u.ref, u.product, u.subject, ARRAY[u.product] AS items
    FROM unnest(%(refs)s::text[], %(products)s::text[], %(subjects)s::uuid[]) AS u (ref, product, subject)
)
SELECT g.ref, g.product, g.subject,
       CASE WHEN g.subject IS NULL THEN """ + _OF_ANYONE + " ELSE least(" + _OF_SUBJECT + "," + _OF_NOBODY + """) END,
       """ + _OF_NOBODY + """
  FROM given g"""  # fmt: skip


def _staying(shop_id: int, keys: Collection[Key], until: datetime) -> Staying:
    if not keys:
        return Staying()
    refs, products, subjects = (list(each) for each in zip(*keys, strict=True))
    given = {"shop": shop_id, "until": until, "refs": refs, "products": products, "subjects": subjects}
    found = rows(_STAYING, given)
    return Staying(
        {(ref, product, subject): first for ref, product, subject, first, _ in found if first is not None},
        {(ref, product): nobodys for ref, product, _, _, nobodys in found if nobodys is not None},
    )


_CLOSED = """
SELECT g.ref, g.product FROM unnest(%s::text[], %s::text[]) AS g (ref, product)
 WHERE (SELECT true FROM feedback_clickthrough c
         WHERE c.shop_id = %s AND c.ranking_ref = g.ref AND NOT c.implied AND c.items @> ARRAY[g.product] LIMIT 1)"""


def _closed(shop_id: int, asking: Collection[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Which of these products an impression of their ranking showed that has closed."""
    if not asking:
        return []
    refs, products = (list(each) for each in zip(*asking, strict=True))
    return [(ref, [product]) for ref, product in rows(_CLOSED, [refs, products, shop_id])]


def join_of_subject(shop_id: int, subject: UUID) -> Join:
    """Read what is open of one subject, and of its rankings nothing else."""
    where = "WHERE shop_id = %s AND subject_id = %s"
    impressions = rows(f"SELECT {_columns(Shown)} FROM feedback_open_impression {where}", [shop_id, subject])
    waiting = rows(f"SELECT {_columns(Acted)} FROM feedback_open_interaction {where}", [shop_id, subject])
    return Join.of([Shown(*row) for row in impressions], [Acted(*row) for row in waiting], ())


def open_delete(positions: Iterable[int]) -> None:
    """Forget open impressions and waiting interactions."""
    given = list(positions)
    for table in ("feedback_open_impression", "feedback_open_interaction"):
        query(f"DELETE FROM {table} WHERE position = ANY(%s::bigint[])", [given])


def _columns(kind: type[Shown | Acted | ClickThrough]) -> str:
    return ", ".join(each.name for each in fields(kind))
