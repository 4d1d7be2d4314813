"""A search for better options over a past range of a shop's log, by optuna: resumable, seeded, and nothing served moves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from time import monotonic
from typing import Any
from zlib import crc32

import optuna
import orjson
from django.conf import settings
from optuna.trial import FrozenTrial, TrialState

from eventlog.consume import checkpoint_read
from eventlog.database import read_only, scalar
from eventlog.errors import FreshetError
from feedback.projections import click_throughs
from feedback.selectors import closed_click_throughs
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.learning.ranges import clicked
from ranking.registry import ModelVersion, model_serving, model_versions
from ranking.towers import encoder_frozen
from ranking.train_options import train_options_chosen, train_options_set
from ranking.tuning.figures import Figures, Gain, gain_of
from ranking.tuning.space import Space, options_of, suggested
from ranking.tuning.walk import Walk, figures_joined, folds_of

FOLDS = 3  # a set of options that is best on one chunk may be lucky; each more costs a version a trial
LEAST_CHUNK = 50  # click-throughs with an outcome: fewer judge nothing
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class NothingToTuneOn(FreshetError):
    """The range holds too few click-throughs with an outcome, or the shop has no model version yet."""

    code = "nothing_to_tune_on"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to search: a shop's range (from_position, to_position], and between what."""

    shop_id: int
    from_position: int
    to_position: int
    folds: int = FOLDS
    space: Space
    in_force: TrainOptions

    @property
    def name(self) -> str:
        """Of the study: the same range, space, and options that the others are held against go on with the same one."""
        what = {"space": {name: repr(each) for name, each in self.space.items()}, "options": asdict(self.in_force)}
        digest = sha256(orjson.dumps([what, self.folds], option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]
        return f"shop-{self.shop_id}-{self.from_position}-{self.to_position}-{digest}"

    @property
    def baseline(self) -> dict[str, Any]:
        """What is in force, of the options that are varied."""
        return {name: getattr(self.in_force, name) for name in self.space}


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found. `gain` is the best trial's on the newest chunk, which chose no trial.

    It is None when nothing beats what is in force.
    """

    asked: Asked
    study: optuna.Study
    walk: Walk
    baseline: FrozenTrial
    best: FrozenTrial
    gain: Gain | None
    held_out: Mapping[str, Mapping[str, float]]

    @property
    def better(self) -> dict[str, Any]:
        """Options of the best trial that differ from those in force."""
        found = options_of(self.best.params)
        return {name: value for name, value in found.items() if value != self.asked.baseline[name]}


def range_newest(*, shop_id: int, count: int) -> tuple[int, int]:
    """The range of the log in which a shop's newest so many click-throughs with an outcome closed."""
    sql = """SELECT closed_position FROM feedback_clickthrough WHERE shop_id = %s AND outcomes <> '{}'
              ORDER BY closed_position DESC, impression_position DESC OFFSET %s LIMIT 1"""
    return int(scalar(sql, [shop_id, count]) or 0), checkpoint_read(click_throughs.name)


def tune(
    *,
    asked: Asked,
    trials: int,
    timeout_seconds: float | None = None,
    storage: str | None = None,
    progress: Callable[[float, str], None] = lambda share, said: None,
) -> Tuned:
    """Try options until the study has so many finished trials; the first is what is in force. Same study: it goes on.

    `progress` is told the share that is done and what is best so far. Raises NothingToTuneOn.
    """
    started = monotonic()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with read_only():  # whatever is called below: PostgreSQL lets it write nothing
        walk = _walk(asked)
        study = _study(asked, storage)
        _ensure_baseline(study, asked.baseline)

        def objective(trial: optuna.Trial) -> float:
            done = len(_finished(study))
            options = replace(asked.in_force, **suggested(trial, asked.space))
            found: list[Figures] = []

            def told(share: float) -> None:
                progress((done + (len(found) + share) / asked.folds) / max(trials, done + 1), _said(study))

            for figures in walk.figures(options, folds=asked.folds, progress=told):
                found.append(figures)
                trial.report(figures_joined(found).score(), len(found))
                if len(found) < asked.folds and not _is_baseline(trial) and trial.should_prune():
                    raise optuna.TrialPruned
            trial.set_user_attr("means", figures_joined(found).means())
            return figures_joined(found).score()

        while len(_finished(study)) < trials:
            if timeout_seconds is not None and monotonic() - started >= timeout_seconds and _best(study):
                break
            with warnings.catch_warnings():  # what is in force may lie beyond the space
                warnings.filterwarnings("ignore", message="Fixed parameter")
                study.optimize(objective, n_trials=1)
        return _tuned(asked, study, walk)


def tuned_apply(tuned: Tuned, *, now: datetime) -> bool:
    """Put the best options in force beside what else was set, if they gain more than noise; return whether.

    Raises BadTrainOptions, ConcurrentChange.
    """
    if tuned.gain is None or not tuned.gain.is_sure:
        return False
    shop_id, gain = tuned.asked.shop_id, tuned.gain
    train_options_set(
        shop_id=shop_id, options=_chosen(tuned), now=now,
        reason=f"tuned: {gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}), study {tuned.study.study_name}",
    )  # fmt: skip
    return True


def _chosen(tuned: Tuned) -> dict[str, Any]:
    """What was chosen before and what is better; better over the defaults of its kind, so the kind is said with it."""
    shop_id, kind = tuned.asked.shop_id, tuned.asked.in_force.adapter
    said = {} if kind == DEFAULTS.adapter else {"adapter": kind}
    return train_options_chosen(shop_id=shop_id) | said | tuned.better


def _walk(asked: Asked) -> Walk:
    closed = closed_click_throughs(
        shop_id=asked.shop_id, after_position=asked.from_position, to_position=asked.to_position
    )
    count, chunks = sum(clicked(each) for each in closed), asked.folds + 2
    if count < chunks * LEAST_CHUNK:
        raise NothingToTuneOn(
            f"{count} click-throughs with an outcome closed from position {asked.from_position} to {asked.to_position}; "
            f"{chunks} chunks of at least {LEAST_CHUNK} are needed."
        )
    start = start_of(shop_id=asked.shop_id, position=asked.from_position)
    folds = folds_of(
        closed, from_position=asked.from_position, count=asked.folds + 1
    )  # the last one is kept from the search
    return Walk(start=start, frozen=encoder_frozen(start.config.get("encoder_name")), folds=folds)


def start_of(*, shop_id: int, position: int) -> ModelVersion:
    """The newest version of the serving major that served, and that no click-through after a position had taught or judged.

    Raises NothingToTuneOn.
    """
    serving = model_serving(shop_id=shop_id)
    for version in model_versions(shop_id=shop_id) if serving else ():
        judged_to = int(version.metrics.get("judged_to_position", version.to_position))
        served = version.promoted_position is not None and serving is not None and version.major == serving.major
        if served and max(judged_to, version.to_position) <= position:
            return version
    raise NothingToTuneOn(f"No model version of before position {position} is there.")


def _study(asked: Asked, storage: str | None) -> optuna.Study:
    if storage is None:
        folder = settings.FRESHET_HOME / "tune"
        folder.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{folder / 'studies.sqlite3'}"
    study = optuna.create_study(
        study_name=asked.name, storage=storage, direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )  # fmt: skip
    # a study that goes on must not draw again what it drew first
    study.sampler = optuna.samplers.TPESampler(seed=crc32(asked.name.encode()) + len(study.trials))
    return study


def _ensure_baseline(study: optuna.Study, params: dict[str, Any]) -> None:
    """What is in force comes first; again when whoever tried it was killed."""
    if not any(_is_baseline(each) and each.state in (TrialState.COMPLETE, TrialState.WAITING) for each in study.trials):
        study.enqueue_trial(params, user_attrs={"baseline": True})


def _is_baseline(trial: FrozenTrial | optuna.Trial) -> bool:
    return bool(trial.user_attrs.get("baseline"))


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_FINISHED)


def _best(study: optuna.Study) -> FrozenTrial | None:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def _said(study: optuna.Study) -> str:
    best = _best(study)
    return "trying what is in force" if best is None else f"best {best.value:.4f}, trial {best.number}"


def _tuned(asked: Asked, study: optuna.Study, walk: Walk) -> Tuned:
    """Hold the best trial against what is in force on the chunk that no trial was chosen by."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    baseline = next(trial for trial in complete if _is_baseline(trial))
    best = max(complete, key=lambda trial: (trial.value or 0.0, -trial.number))
    if best.number == baseline.number:
        return Tuned(asked, study, walk, baseline, best, None, {})
    before, after = (_held_out(asked, study, walk, trial) for trial in (baseline, best))
    held = {"baseline": before.means(), "best": after.means()}
    return Tuned(asked, study, walk, baseline, best, gain_of(after, before), held)


def _held_out(asked: Asked, study: optuna.Study, walk: Walk, trial: FrozenTrial) -> Figures:
    """A trial's figures on the newest chunk, kept with the study: the walk takes as long as the trial did."""
    kept = f"held_out/{trial.number}"
    if kept not in study.user_attrs:
        options = replace(asked.in_force, **options_of(trial.params))
        *_, newest = walk.figures(options, folds=len(walk.folds))
        study.set_user_attr(kept, newest.to_dict())
    return Figures.from_dict(study.user_attrs[kept])
