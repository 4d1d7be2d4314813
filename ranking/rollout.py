"""Rolling out a major version, step by step, while the one before it serves.

Every product is embedded anew into a table of its own, contexts find their neighbours by the new encoder, the index is
built, and then one event lets the version serve: serving processes change over as for a minor version. What is left to do
is read from what is there, so whoever dies, the next one goes on. Promoting anything else meanwhile gives it up.
"""

from __future__ import annotations

from datetime import datetime
from time import monotonic

import structlog
from django.db import transaction

from eventlog.consume import checkpoint_move, checkpoint_read
from eventlog.database import claimed
from eventlog.errors import ConcurrentChange, LostClaim
from ranking.draining import drain_to_head
from ranking.embedding import embed_batch, index_vectors, waiting_read
from ranking.neighbours import contexts_relate
from ranking.policies import shop_embed
from ranking.projections.models import models
from ranking.registry import ModelVersion, model_awaited, model_promote_new
from ranking.retraining import touched_refuse, touched_versions
from ranking.towers import model_load, query_vectors_prepare
from ranking.training import consumer
from ranking.vector_state import Rollout, rollout_read, unrelated_count, waiting_count

log = structlog.get_logger(__name__)
PARTS = 8  # disjoint parts of a catalogue, so that as many workers can embed at once; a power of 2
READ, CHUNK = 512, 128  # looked up at once; embedded in one transaction, which a revised description waits for
TURN_SECONDS = 4.5  # of a worker, then other tasks of its queue have their turn
REVISED_SECONDS = 1.0  # how often it looks in between for what the version that serves lacks


def rollout_embed(*, shop_id: int, now: datetime, seat: int = 0, seconds: float = TURN_SECONDS) -> int:
    """Embed products under the version that is awaited for about so long; return how many. Any number may do it at once:
    each takes parts that nobody else is at, from its seat on."""
    awaited = model_awaited(shop_id=shop_id)
    if awaited is None:
        return 0
    until, done = monotonic() + seconds, 0
    for n in range(PARTS):
        part = (seat + n) % PARTS
        with claimed(f"rollout/{shop_id}/{awaited.major}/{part}") as mine:
            if mine:
                done += _part_embed(awaited, part, now, until)
        if monotonic() > until:
            break
    return done


def _part_embed(awaited: ModelVersion, part: int, now: datetime, until: float) -> int:
    done, looked = 0, 0.0
    while found := waiting_read(model=awaited, limit=READ, part=part, parts=PARTS):
        before = done
        for start in range(0, len(found), CHUNK):
            if monotonic() > looked + REVISED_SECONDS:  # what serves comes first
                shop_embed(shop_id=awaited.shop_id, now=now)
                looked = monotonic()
            done += embed_batch(awaited, found[start : start + CHUNK], now=now)
            if monotonic() > until:
                return done
        if done == before:
            break  # recorded already, and not applied: parked, or behind a projection that lags
    return done


def rollout_advance(*, shop_id: int, now: datetime, seconds: float = TURN_SECONDS) -> bool:
    """Do what comes after embedding, and at last let the version serve; return whether it does now.

    One process at a time: the others find it claimed. Building the index may take minutes, in PostgreSQL.
    """
    with claimed(f"rollout/{shop_id}") as mine:
        awaited = model_awaited(shop_id=shop_id) if mine else None
        if awaited is None or waiting_count(shop_id=shop_id, major=awaited.major):
            return False
        if not _relate(awaited, now, until=monotonic() + seconds):
            return False
        index_vectors(shop_id=shop_id, major=awaited.major)
        if rollout_read(shop_id=shop_id) != Rollout(awaited.version, "ready", 1.0, 1.0):
            return False  # something was described meanwhile, or the version was given up
        return _let_serve(awaited, now)


def _relate(awaited: ModelVersion, now: datetime, *, until: float) -> bool:
    """Have every context find its neighbours by the new encoder; whether all have."""
    if unrelated_count(awaited):
        model = model_load(awaited)
        while contexts_relate(shop_id=awaited.shop_id, model=model, now=now) and monotonic() < until:
            pass
    return not unrelated_count(awaited)


def _let_serve(awaited: ModelVersion, now: datetime) -> bool:
    """The flip: one event, and with it the trainer's checkpoint, which goes to where this version stopped learning."""
    shop_id = awaited.shop_id
    query_vectors_prepare(shop_id=shop_id, model=model_load(awaited))
    reason = "the gate found it not worse, and every product has its vector"
    try:
        with transaction.atomic():
            if awaited.to_position > awaited.from_position:
                trainer = consumer(shop_id)
                checkpoint_move(consumer=trainer, position=checkpoint_read(trainer), to=awaited.to_position)
            model_promote_new(shop_id=shop_id, version=awaited.version, reason=reason, now=now)
            if "left_out" in awaited.metrics:  # it was trained to take their place
                touched_refuse(touched_versions(shop_id=shop_id), version=awaited.version, now=now)
    except (ConcurrentChange, LostClaim) as error:
        log.info("rollout_overtaken", shop_id=shop_id, version=awaited.version, reason=str(error))
        return False
    drain_to_head(models)
    log.info("major_serving", shop_id=shop_id, version=awaited.version)
    return True
