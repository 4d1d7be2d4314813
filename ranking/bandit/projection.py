"""The projection `bandit`: open trials, what each arm earned, and how each surface was set.

A batch reads the trials that it closes or touches and a shop's arms (a few dozen rows), lets time pass over its events, and
writes back what moved, a statement a table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson

from eventlog.database import copy_rows, query, rows
from eventlog.events import ClockTicked, RecordedEvent
from eventlog.projection import Projection
from feedback.projections import window
from ranking.bandit.events import BanditSet
from ranking.bandit.sums import ArmSums, Tally, Turn
from ranking.choices import FEEDBACK, ArmName, Trial, Trials, full_reward, keys_of
from ranking.signals import options_of, values_logged
from ranking.weights.events import SignalsSet

_TRIAL = ("key", "surface", "segment", "arm", "propensity", "due_at", "shown", "deeds")


class Bandit(Projection):
    name = "bandit"
    event_types = FEEDBACK | {ClockTicked.type, BanditSet.type, SignalsSet.type}
    tables = (
        "ranking_banditarm", "ranking_banditturn", "ranking_banditclock", "ranking_bandittrial", "ranking_banditset",
    )  # fmt: skip

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        shops: dict[int, list[RecordedEvent]] = {}
        for event in events:
            if event.type == BanditSet.type:
                _set(event)
            else:
                shops.setdefault(event.shop_id, []).append(event)
        for shop_id, happened in shops.items():
            _pass(shop_id, happened)


bandit = Bandit()


def _pass(shop_id: int, events: Sequence[RecordedEvent]) -> None:
    """Let a shop's time pass over its events. A trial is worth what its deeds count when it closes."""
    trials = trials_read(shop_id, events)
    values = values_logged([shop_id], before=events[0].position)[shop_id]
    stored, tally = set(trials.open), arms_read(shop_id)
    known = dict(tally.arms)
    for event in events:
        if event.type == SignalsSet.type:
            values = options_of(event.data["signals"]).values
            continue
        for trial in trials.advance(event):
            tally.add(trial.name, trial.reward(values, full_reward(values)), trials.clock)
    _keep_clock(shop_id, trials.clock)
    _keep_trials(shop_id, stored, trials.open.values())
    _keep_arms(shop_id, {name: sums for name, sums in tally.arms.items() if known.get(name) != sums})
    _keep_turns(shop_id, tally.turns)


def trials_read(shop_id: int, events: Sequence[RecordedEvent]) -> Trials:
    """The open trials that these events close or touch."""
    clock = next((at for (at,) in rows("SELECT at FROM ranking_banditclock WHERE shop_id = %s", [shop_id])), 0.0)
    until = max(clock, *(event.effective_at.timestamp() for event in events if event.type != SignalsSet.type), 0.0)
    found = rows(
        f"""SELECT {", ".join(_TRIAL)} FROM ranking_bandittrial WHERE shop_id = %s AND due_at <= %s
             UNION SELECT {", ".join(_TRIAL)} FROM ranking_bandittrial WHERE shop_id = %s AND key = ANY(%s::text[])""",
        [shop_id, until, shop_id, keys_of(events)],
    )
    stored = [
        Trial(key, ArmName(surface, segment, arm), propensity, due_at, shown,
              set(zip(deeds[::2], deeds[1::2], strict=True)))
        for key, surface, segment, arm, propensity, due_at, shown, deeds in found
    ]  # fmt: skip
    return Trials.of(stored, clock=clock, window_seconds=window().total_seconds())


def arms_read(shop_id: int) -> Tally:
    """What each arm of a shop earned."""
    arms = rows(
        "SELECT surface, segment, arm, trials, reward, squares, at, turn, count FROM ranking_banditarm WHERE shop_id = %s",
        [shop_id],
    )
    turns = rows("SELECT surface, number, at FROM ranking_banditturn WHERE shop_id = %s", [shop_id])
    return Tally(
        {ArmName(*row[:3]): ArmSums(*row[3:]) for row in arms},
        {surface: Turn(number, at) for surface, number, at in turns},
    )


def _keep_clock(shop_id: int, clock: float) -> None:
    query(
        """INSERT INTO ranking_banditclock (shop_id, at) VALUES (%s, %s)
           ON CONFLICT (shop_id) DO UPDATE SET at = excluded.at""",
        [shop_id, clock],
    )


def _keep_trials(shop_id: int, stored: set[str], still_open: Collection[Trial]) -> None:
    """Write those that are open anew: what a batch read of them is at most what it closed or touched."""
    if stored:
        query("DELETE FROM ranking_bandittrial WHERE shop_id = %s AND key = ANY(%s::text[])", [shop_id, sorted(stored)])
    records = [
        (shop_id, each.key, *each.name, each.propensity, each.due_at, each.shown, [w for d in sorted(each.deeds) for w in d])
        for each in still_open
    ]  # fmt: skip
    if records:
        copy_rows("ranking_bandittrial", ("shop_id", *_TRIAL), records)


def _keep_arms(shop_id: int, moved: dict[ArmName, ArmSums]) -> None:
    if not moved:
        return
    sums = list(moved.values())
    query(
        """INSERT INTO ranking_banditarm (shop_id, surface, segment, arm, trials, reward, squares, at, turn, count)
           SELECT %s::integer, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::double precision[],
             %s::double precision[], %s::double precision[], %s::double precision[], %s::bigint[], %s::bigint[])
           ON CONFLICT (shop_id, surface, segment, arm) DO UPDATE SET trials = excluded.trials, reward = excluded.reward,
             squares = excluded.squares, at = excluded.at, turn = excluded.turn, count = excluded.count""",
        [
            shop_id, *([name[part] for name in moved] for part in range(3)), [s.trials for s in sums],
            [s.reward for s in sums], [s.squares for s in sums], [s.at for s in sums], [s.turn for s in sums],
            [s.count for s in sums],
        ],
    )  # fmt: skip


def _keep_turns(shop_id: int, turns: dict[str, Turn]) -> None:
    if not turns:
        return
    query(
        """INSERT INTO ranking_banditturn (shop_id, surface, number, at)
           SELECT %s::integer, * FROM unnest(%s::text[], %s::bigint[], %s::double precision[])
           ON CONFLICT (shop_id, surface) DO UPDATE SET number = excluded.number, at = excluded.at""",
        [shop_id, list(turns), [each.number for each in turns.values()], [each.at for each in turns.values()]],
    )


def _set(event: RecordedEvent) -> None:
    data = event.data
    query(  # one in a week
        """INSERT INTO ranking_banditset
             (shop_id, surface, position, set_at, explore, fixed, off, estimate, forced)
           VALUES (%s, %s, %s, %s, %s, %s, %s::text[], %s::jsonb, %s)
           ON CONFLICT (shop_id, surface) DO UPDATE SET position = excluded.position, set_at = excluded.set_at,
             explore = excluded.explore, fixed = excluded.fixed, off = excluded.off,
             estimate = excluded.estimate, forced = excluded.forced""",
        [
            event.shop_id, data["surface"], event.position, event.effective_at, data["explore"],
            data.get("fixed"), data["off"], orjson.dumps(data.get("estimate")).decode(), data.get("forced"),
        ],
    )  # fmt: skip
