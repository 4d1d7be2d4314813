"""What this process chooses by: the state of the projection `bandit`, seen again within a second.

A busy process reads it in the background while it goes on choosing by what it has; after a quiet second the next request
reads it first. What was computed for requests before is computed for the new state there too.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

import structlog
from django.conf import settings
from django.db import close_old_connections

from eventlog.consume import checkpoint_read
from eventlog.database import rows, snapshot
from ranking.bandit.choosing import Setting, State
from ranking.bandit.projection import arms_read, bandit

log = structlog.get_logger(__name__)
OLDEST_SECONDS = 1.0  # a state that nobody looked at for longer is read before it is chosen by

_SETTINGS = "SELECT surface, explore, fixed, off FROM ranking_banditset WHERE shop_id = %s"


def state_read(shop_id: int) -> State:
    """The state as it is in the database now."""
    with snapshot():
        position = checkpoint_read(bandit.name)
        tally = arms_read(shop_id)
        found = rows(_SETTINGS, [shop_id])
    set_ = {surface: Setting(explore=explore, fixed=fixed, off=tuple(off)) for surface, explore, fixed, off in found}
    return State(tally.arms, tally.turns, set_, position)


class States:
    """The state of each shop that this process serves, and when it was read."""

    def __init__(self) -> None:
        self._states: dict[int, tuple[State, float]] = {}
        self._reading: dict[int, Future[None]] = {}
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="bandit-state")

    def get(self, shop_id: int) -> State:
        """The state to choose by."""
        known = self._states.get(shop_id)
        age = monotonic() - known[1] if known else None
        if known is None or age is None or age >= min(OLDEST_SECONDS, 2 * settings.FRESHET_MODEL_REFRESH_SECONDS):
            return self._read(shop_id)
        if age >= settings.FRESHET_MODEL_REFRESH_SECONDS:
            self._read_behind(shop_id)
        return known[0]

    def forget(self) -> None:
        """Know nothing any more (tests)."""
        self._states.clear()

    def _read(self, shop_id: int) -> State:
        at, before = monotonic(), self._states.get(shop_id)
        state = state_read(shop_id)
        if before is not None:
            state = _continued(before[0], state)
        self._states[shop_id] = (state, at)
        return state

    def _read_behind(self, shop_id: int) -> None:
        with self._lock:
            if (reading := self._reading.get(shop_id)) is None or reading.done():
                self._reading[shop_id] = self._reader.submit(self._try_to_read, shop_id)

    def _try_to_read(self, shop_id: int) -> None:
        try:
            self._read(shop_id)
        except Exception:  # requests go on by what they have, and read it themselves when it gets old
            log.exception("bandit_state_failed", shop_id=shop_id)
            close_old_connections()


def _continued(before: State, after: State) -> State:
    """The new state, with what the old one was asked computed; the old one where nothing else than the position moved."""
    if (before.arms, before.turns, before.settings) == (after.arms, after.turns, after.settings):
        return before.at(after.position)
    after.prepare(before)
    return after


states = States()


def bandit_state(shop_id: int) -> State:
    """What a shop's surfaces have taught so far and how they are set, not older than a second."""
    return states.get(shop_id)
