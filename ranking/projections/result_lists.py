"""Result lists: what each busy query found when it was last refreshed, and the products it had before."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import ResultListRefreshed, ResultListRetired

Key = tuple[int, str]


class ResultLists(Projection):
    name = "result_lists"
    event_types = frozenset({ResultListRefreshed.type, ResultListRetired.type})
    tables = ("ranking_resultlist",)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        by_list: dict[Key, list[RecordedEvent]] = {}
        for event in events:
            of_list = by_list.setdefault((event.shop_id, event.data["context_key"]), [])
            if not of_list or (event.version or 0) > (
                of_list[-1].version or 0
            ):  # a parked one may come after a younger
                of_list.append(event)
        _refresh(list(by_list.values()))
        _retire([of_list[-1] for of_list in by_list.values() if of_list[-1].type == ResultListRetired.type])


result_lists = ResultLists()

# A list's row has what its newest refresh found. Which list came before is known from the batch (`knows_before`), else
# it is the row's own; a list that was retired in between has none before.
_REFRESH = """
WITH given AS MATERIALIZED (
  SELECT g.id, g.shop_id, g.version, g.at, g.knows_before, g.c::jsonb AS c, g.before::jsonb AS before
    FROM unnest(%s::bigint[], %s::integer[], %s::integer[], %s::timestamptz[], %s::boolean[], %b::text[], %b::text[])
      AS g (id, shop_id, version, at, knows_before, c, before)
)
INSERT INTO ranking_resultlist AS l (
  id, shop_id, context_key, query, items, scores, previous_items, overlap, model, as_of_position, reason, refreshed_at,
  retired_at, version)
SELECT g.id, g.shop_id, g.c->>'context_key', g.c->>'query', ARRAY(SELECT jsonb_array_elements_text(g.c->'items')),
       ARRAY(SELECT s::double precision FROM jsonb_array_elements_text(g.c->'scores') s),
       CASE WHEN g.before IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(g.before))
            WHEN NOT g.knows_before AND known.retired_at IS NULL THEN known.items END,
       (g.c->>'overlap')::double precision, g.c->>'model', (g.c->>'as_of_position')::bigint, g.c->>'reason', g.at, NULL, g.version
  FROM given g LEFT JOIN ranking_resultlist known ON known.shop_id = g.shop_id AND known.context_key = g.c->>'context_key'
ON CONFLICT (shop_id, context_key) DO UPDATE SET
  query = excluded.query, items = excluded.items, scores = excluded.scores, previous_items = excluded.previous_items,
  overlap = excluded.overlap, model = excluded.model, as_of_position = excluded.as_of_position, reason = excluded.reason,
  refreshed_at = excluded.refreshed_at, retired_at = NULL, version = excluded.version
WHERE l.version < excluded.version"""


def _refresh(lists: Sequence[Sequence[RecordedEvent]]) -> None:
    newest: list[RecordedEvent] = []
    first: list[int] = []
    knows_before: list[bool] = []
    before: list[str | None] = []
    for of_list in lists:
        refreshed = [i for i, event in enumerate(of_list) if event.type == ResultListRefreshed.type]
        if not refreshed:
            continue
        last = refreshed[-1]
        newest.append(of_list[last])
        first.append(of_list[refreshed[0]].position)
        knows_before.append(last > 0)
        before.append(_json(of_list[last - 1].data["items"]) if last - 1 in refreshed else None)
    if newest:
        columns = [[e.shop_id for e in newest], [e.version for e in newest], [e.effective_at for e in newest]]
        query(_REFRESH, [first, *columns, knows_before, [_json(e.data) for e in newest], before])


def _retire(events: Sequence[RecordedEvent]) -> None:
    if not events:
        return
    query(
        """UPDATE ranking_resultlist AS l SET retired_at = g.at, reason = g.reason, version = g.version
             FROM unnest(%s::integer[], %s::text[], %s::integer[], %s::timestamptz[], %s::text[])
               AS g (shop_id, context_key, version, at, reason)
            WHERE l.shop_id = g.shop_id AND l.context_key = g.context_key AND l.version < g.version""",
        [
            [event.shop_id for event in events],
            [event.data["context_key"] for event in events],
            [event.version for event in events],
            [event.effective_at for event in events],
            [event.data["reason"] for event in events],
        ],
    )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
