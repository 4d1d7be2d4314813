"""What is answered about experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from eventlog.database import rows
from ranking.experiments.experiment import Experiment, experiment_get, experiments_of
from ranking.experiments.readout import readout


@dataclass(frozen=True, slots=True)
class Reading:
    """A read-out that was noted in the log."""

    position: int
    requests: int
    at: datetime
    figures: dict[str, Any]


def experiments_answer(*, shop_id: int) -> dict[str, Any]:
    """What `GET /v1/experiments` answers, the newest first."""
    return {"experiments": [_said(each) for each in experiments_of(shop_id=shop_id)]}


def experiment_answer(*, shop_id: int, id_: str) -> dict[str, Any]:
    """What `GET /v1/experiments/{id}` answers: how it stands now, and how it stood. Raises ExperimentNotFound."""
    experiment = experiment_get(shop_id=shop_id, id_=id_)
    readings = [asdict(each) for each in readings_of(experiment)]
    return _said(experiment) | {"readout": readout(experiment).as_dict(), "readings": readings}


def readings_of(experiment: Experiment) -> Sequence[Reading]:
    """The read-outs of an experiment, oldest first."""
    sql = """SELECT read_position, requests, at, figures FROM ranking_experimentreading
              WHERE shop_id = %s AND experiment = %s ORDER BY position"""
    found = rows(sql, [experiment.shop_id, experiment.id])
    return [Reading(position, requests, at, orjson.loads(figures)) for position, requests, at, figures in found]


def _said(experiment: Experiment) -> dict[str, Any]:
    said = asdict(experiment) | {"state": experiment.state}
    return {name: value for name, value in said.items() if name not in ("shop_id", "position")}
