"""Policy: note how experiments stand, stop variants that surely do harm, and those that cannot be shown any more."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from eventlog.database import claimed, rows
from eventlog.errors import ConcurrentChange
from eventlog.events import NewEvent, consumer_event_id
from eventlog.services import append
from ranking.experiments.events import ExperimentRead
from ranking.experiments.experiment import Experiment, experiments_running
from ranking.experiments.readout import Readout, readout
from ranking.experiments.services import ExperimentEnded, experiment_stop
from ranking.registry import model_versions

log = structlog.get_logger(__name__)
GROWN = 1.1  # a read-out is noted when so many times the requests of the last are there: some 24 for each factor of 10
QUIET = timedelta(days=1)  # and after a day in any case


def experiments_watch(*, shop_id: int, now: datetime) -> int:
    """Look after a shop's running experiments; return how many variants or experiments were stopped."""
    stopped = 0
    with claimed(f"experiments/{shop_id}") as mine:
        for experiment in experiments_running(shop_id=shop_id) if mine else ():
            with suppress(ConcurrentChange, ExperimentEnded):  # an operator was quicker
                stopped += _watch(experiment, now)
    return stopped


def _watch(experiment: Experiment, now: datetime) -> int:
    found = readout(experiment)
    stops = [*_gone(experiment), *_losing(experiment, found)]
    if stops or _is_news(experiment, found, now):
        reading_append(experiment, found, now=now)
    for variant, reason, detail in stops[:1]:  # each decides on what the one before left: the next minute's turn
        experiment_stop(
            shop_id=experiment.shop_id, id_=experiment.id, now=now, reason=reason, detail=detail, variant=variant,
            figures=found.as_dict() if reason == "guard_rail" else None,
        )  # fmt: skip
        log.warning("experiment_stopped", shop_id=experiment.shop_id, experiment=experiment.id, variant=variant,
                    reason=reason, detail=detail)  # fmt: skip
    return len(stops[:1])


def reading_append(experiment: Experiment, found: Readout, *, now: datetime) -> None:
    """Put a read-out into the log, once for a position."""
    event = ExperimentRead(
        experiment=experiment.id, position=found.position, requests=found.requests, figures=found.as_dict()
    )
    identity = consumer_event_id(consumer=f"reading/{experiment.shop_id}/{experiment.id}", position=found.position)
    append(shop_id=experiment.shop_id, events=[NewEvent(event=event, event_id=identity, occurred_at=now)])


def _losing(experiment: Experiment, found: Readout) -> list[tuple[str, str, str]]:
    return [
        (variant, "guard_rail", f"{metric} of {variant} is surely more than {experiment.guards[metric]:.0%} below control's")
        for variant, metric in found.breached.items()
    ]  # fmt: skip


def _gone(experiment: Experiment) -> list[tuple[str | None, str, str]]:
    """What cannot be shown: a version refused since, or of another major version than what serves now."""
    named = [each for each in experiment.variants if "model" in each.settings and each.name not in experiment.stopped]
    if not named:
        return []
    servable = _servable(experiment.shop_id)
    lost = [each for each in named if each.settings["model"] not in servable]
    ends = experiment.kind == "interleaving" or experiment.control in lost
    return [
        (None if ends else each.name, "model_gone", f"model {each.settings['model']} of {each.name} cannot serve any more")
        for each in lost
    ]  # fmt: skip


def _servable(shop_id: int) -> set[str]:
    versions = model_versions(shop_id=shop_id)
    major = next((each.major for each in versions if each.state == "serving"), None)
    return {each.version for each in versions if each.major == major and each.state != "refused"}


_LAST = """
SELECT requests, at FROM ranking_experimentreading WHERE shop_id = %s AND experiment = %s ORDER BY position DESC LIMIT 1"""


def _is_news(experiment: Experiment, found: Readout, now: datetime) -> bool:
    last = rows(_LAST, [experiment.shop_id, experiment.id])
    if not last:
        return found.requests > 0
    requests, at = last[0]
    return bool(found.requests > GROWN * requests or (now - at >= QUIET and found.requests > requests))
