"""The tasks. Each makes one call into the domain, takes ids only, and names its queue in `workers/celery.py`."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic

from celery import group

from eventlog.consume import sequence_and_drain
from eventlog.models import Shop
from eventlog.services import forget_drains, turn_known_ids
from eventlog.services import make_partitions as log_make_partitions
from feedback.services import clock_tick
from ranking.examination import examination_estimate
from ranking.experiments.watching import experiments_watch
from ranking.services import lexical_statistics_publish
from workers.celery import app
from workers.wake_up import LINGER_SECONDS, forget_wake_up

DRAIN_SECONDS = 10.0
REFRESH_SECONDS = 2.0
ROLL_OUT_SECONDS = 5.0
SEATS = 8  # workers that can embed a major version at once


@app.task
def drain() -> int:
    """Sequence and drain everything; the key goes first, so that an append after this line sends a wake-up of its own.

    Under a load that never pauses it makes way for itself, so that the worker can be stopped in between.
    """
    forget_wake_up()
    until = monotonic() + DRAIN_SECONDS
    sequenced = sequence_and_drain(should_stop=lambda: monotonic() > until, linger_seconds=LINGER_SECONDS)
    if monotonic() > until:
        drain.delay()
    elif sequenced and lexical_statistics_publish(now=datetime.now(UTC)):
        sequenced += sequence_and_drain()
    return sequenced


@app.task
def embed() -> int:
    """Embed what waits and find the neighbours of new contexts, a shop after the other."""
    from ranking.policies import shop_embed  # loads torch: 4 s of CPU and 300 MB that the other queues do without

    return sum(shop_embed(shop_id=shop_id, now=datetime.now(UTC)) for shop_id in _shops())


@app.task
def train() -> int:
    """For each shop, judge the version in shadow or train one, where enough click-throughs closed; return how many."""
    from ranking.shadow import shop_learn  # loads torch

    return sum(shop_learn(shop_id=shop_id, now=datetime.now(UTC)) is not None for shop_id in _shops())


@app.task
def estimate_examination() -> int:
    """Estimate for each shop how likely its ranks are looked at; return how many curves moved."""
    return sum(examination_estimate(shop_id=shop_id, now=datetime.now(UTC)) for shop_id in _shops())


@app.task
def learn_mixes() -> int:
    """Learn for each shop and surface how strategies are mixed best, from what shoppers took; return how many changed."""
    from ranking.mix_learning import mix_learn  # loads torch
    from ranking.strategies.mixes import SURFACES

    pairs = [(shop_id, surface) for shop_id in _shops() for surface in SURFACES]
    learned = [mix_learn(shop_id=shop_id, surface=surface, now=datetime.now(UTC)) for shop_id, surface in pairs]
    return sum(each is not None and each.accepted for each in learned)


@app.task
def watch_experiments() -> int:
    """Note how each shop's experiments stand, and stop variants that surely do harm; return how many were stopped."""
    return sum(experiments_watch(shop_id=shop_id, now=datetime.now(UTC)) for shop_id in _shops())


@app.task
def roll_out() -> None:
    """Have the major version that a shop waits for embedded, by as many workers as there are: each takes what none is at.

    What nobody took within 5 seconds is dropped unread and sent again, so that no message piles up or is missed.
    """
    from ranking.registry import model_awaited

    for shop_id in _shops():
        if model_awaited(shop_id=shop_id):
            group(embed_major.s(shop_id=shop_id, seat=seat).set(expires=ROLL_OUT_SECONDS) for seat in range(SEATS))()


@app.task
def embed_major(*, shop_id: int, seat: int) -> int:
    """Embed under the major version that is awaited for some seconds; what the serving version lacks goes before it."""
    from ranking.rollout import rollout_embed  # loads torch

    return rollout_embed(shop_id=shop_id, seat=seat, now=datetime.now(UTC))


@app.task
def advance_majors() -> None:
    """Finish what follows embedding, let a complete major version serve, and let go of those that nothing serves from."""
    from ranking.registry import model_awaited
    from ranking.retiring import majors_retire

    for shop_id in _shops():
        if model_awaited(shop_id=shop_id):
            from ranking.rollout import rollout_advance  # loads torch

            rollout_advance(shop_id=shop_id, now=datetime.now(UTC))
        majors_retire(shop_id=shop_id, now=datetime.now(UTC))


@app.task
def refresh_queries(*, shop_id: int | None = None) -> None:
    """Refresh the stale result lists of a shop, by default of each, for 2 seconds; the rest after what waits meanwhile.

    The process that does it embeds as well, and a revised description must not wait for 500 lists.
    """
    from ranking.query_refresh import result_lists_refresh_some  # loads torch

    for each in _shops() if shop_id is None else [shop_id]:
        if result_lists_refresh_some(shop_id=each, now=datetime.now(UTC), seconds=REFRESH_SECONDS):
            refresh_queries.apply_async(kwargs={"shop_id": each}, expires=3600)


@app.task
def make_partitions() -> int:
    """Keep empty partitions ahead of the log; forget the notes and event ids that nobody asks for any more."""
    made = log_make_partitions()
    forget_drains()
    turn_known_ids()
    return made


@app.task
def tick_clock() -> int:
    """Let time pass in quiet shops; statistics that moved a little are published after an hour."""
    lexical_statistics_publish(now=datetime.now(UTC))
    return clock_tick(now=datetime.now(UTC))


def _shops() -> list[int]:
    return list(Shop.objects.values_list("id", flat=True))
