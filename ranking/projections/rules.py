"""The rules of a shop, each version at its position, and how its lists are arranged besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.rules.events import ArrangementSet, RuleEnded, RuleSet


class Rules(Projection):
    """Keeps `ranking_rule`: a row a RuleSet, closed by the next event of its rule, so that any past position can be read."""

    name = "rules"
    event_types = frozenset({RuleSet.type, RuleEnded.type, ArrangementSet.type})
    tables = ("ranking_rule", "ranking_arrangement")

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        of_rules = [event for event in events if event.type != ArrangementSet.type]
        if of_rules:
            _close(of_rules)
            _insert([event for event in of_rules if event.type == RuleSet.type], closed=_closed_within(of_rules))
        _arrange(events)


rules = Rules()


def _key(event: RecordedEvent) -> tuple[int, str]:
    return event.shop_id, event.data["rule_id"]


def _closed_within(events: Sequence[RecordedEvent]) -> dict[int, int]:
    """Position of each event whose rule has a later one in the same batch -> position of that."""
    following: dict[tuple[int, str], int] = {}
    closed: dict[int, int] = {}
    for event in reversed(events):
        if (later := following.get(_key(event))) is not None:
            closed[event.position] = later
        following[_key(event)] = event.position
    return closed


def _close(events: Sequence[RecordedEvent]) -> None:
    first: dict[tuple[int, str], int] = {}
    for event in events:
        first.setdefault(_key(event), event.position)
    query(
        """UPDATE ranking_rule r SET closed_position = g.position
             FROM unnest(%s::integer[], %s::text[], %s::bigint[]) AS g (shop_id, rule_id, position)
            WHERE r.shop_id = g.shop_id AND r.rule_id = g.rule_id AND r.closed_position IS NULL""",
        [*(list(column) for column in zip(*first, strict=True)), list(first.values())],
    )


def _insert(events: Sequence[RecordedEvent], *, closed: dict[int, int]) -> None:
    query(
        """INSERT INTO ranking_rule (position, shop_id, rule_id, kind, rank, factor, product_id, brand, category, query,
                                     context_key, surfaces, starts_at, ends_at, note, set_at, closed_position)
           SELECT g.position, g.shop_id, c->>'rule_id', c->>'kind', (c->>'rank')::integer, (c->>'factor')::double precision,
                  c->>'product_id', c->>'brand', ARRAY(SELECT jsonb_array_elements_text(c->'category')), c->>'query',
                  c->>'context_key', ARRAY(SELECT jsonb_array_elements_text(c->'surfaces')),
                  (c->>'starts_at')::timestamptz, (c->>'ends_at')::timestamptz, coalesce(c->>'note', ''), g.at, g.closed
             FROM (SELECT position, shop_id, c::jsonb AS c, at, closed
                     FROM unnest(%s::bigint[], %s::integer[], %b::text[], %s::timestamptz[], %s::bigint[])
                       AS u (position, shop_id, c, at, closed)) g""",
        [
            [event.position for event in events],
            [event.shop_id for event in events],
            [orjson.dumps(event.data).decode() for event in events],
            [event.effective_at for event in events],
            [closed.get(event.position) for event in events],
        ],
    )


def _arrange(events: Sequence[RecordedEvent]) -> None:
    """One row a shop: where its rules stand, so that a process knows whether those it keeps are current; its settings."""
    changes = Counter(event.shop_id for event in events)
    newest = {event.shop_id: event.position for event in events}
    settings: dict[int, Any] = {event.shop_id: event.data for event in events if event.type == ArrangementSet.type}
    query(
        """INSERT INTO ranking_arrangement AS a (shop_id, position, changes, settings)
           SELECT g.shop_id, g.position, g.changes, coalesce(g.settings, '{}')::jsonb
             FROM unnest(%s::integer[], %s::bigint[], %s::integer[], %b::text[]) AS g (shop_id, position, changes, settings)
           ON CONFLICT (shop_id) DO UPDATE SET position = excluded.position, changes = a.changes + excluded.changes,
             settings = CASE WHEN excluded.settings = '{}' THEN a.settings ELSE excluded.settings END""",
        [
            list(changes),
            [newest[shop_id] for shop_id in changes],
            list(changes.values()),
            [orjson.dumps(settings[shop_id]).decode() if shop_id in settings else None for shop_id in changes],
        ],
    )
