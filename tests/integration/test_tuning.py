"""Searching better options over a past range: judged by what came next, resumed, in force only if better, nothing else moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from optuna.trial import TrialState

from eventlog.consume import checkpoint_read
from eventlog.database import query, read_only, rows
from eventlog.models import Shop
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.registry import model_get, model_versions
from ranking.train_options import BadTrainOptions, train_options_chosen, train_options_of, train_options_set
from ranking.training import consumer, shop_train
from ranking.tuning.report import report_write, summary
from ranking.tuning.space import Real
from ranking.tuning.study import Asked, NothingToTuneOn, Tuned, range_newest, start_of, tune, tuned_apply
from tests.learning_shop import NOW, shop_clicks, shop_fill, shop_visits
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
# random weights are not those of a language model: they take larger steps, so that whatever is tried beats this
IN_FORCE = TrainOptions(learning_rate=1e-4, epochs=6, most_steps=30, batch=16)
SPACE = {"learning_rate": Real(0.02, 0.03), "replay": Real(0.0, 0.5)}


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _learning_shop(db: None, settings: Any, tiny_encoder: str, tmp_path: Path) -> None:
    settings.FRESHET_ENCODER, settings.FRESHET_HOME = tiny_encoder, tmp_path
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 300, seed=1)


def asked(**more: Any) -> Asked:
    start, end = range_newest(shop_id=SHOP_ID, count=300)
    given: dict[str, Any] = {
        "from_position": start,
        "to_position": end,
        "folds": 1,
        "space": SPACE,
        "in_force": IN_FORCE,
    }
    return Asked(shop_id=SHOP_ID, **given | more)


def search(trials: int, **more: Any) -> Tuned:
    return tune(asked=asked(**more), trials=trials)


def state_of_the_shop() -> list[Any]:
    """All that a search could have moved."""
    log = rows("SELECT max(id), count(*) FROM eventlog_event")
    bytes_kept = rows("SELECT count(*) FROM ranking_artefact")
    return [log, bytes_kept, model_versions(shop_id=SHOP_ID), checkpoint_read(consumer(SHOP_ID))]


def test_a_search_goes_on_where_it_was_finds_what_learns_more_and_touches_nothing_that_serves() -> None:
    before = state_of_the_shop()
    first = [trial.params for trial in search(2).study.trials]
    tuned = search(3)

    assert [trial.state for trial in tuned.study.trials] == [TrialState.COMPLETE] * 3
    assert [trial.params for trial in tuned.study.trials[:2]] == first
    assert tuned.baseline.number == 0
    assert tuned.baseline.params["learning_rate"] == IN_FORCE.learning_rate
    assert (tuned.best.value or 0) > (tuned.baseline.value or 0) + 0.05
    assert tuned.gain is not None
    assert tuned.gain.is_sure
    assert state_of_the_shop() == before
    assert_reported(tuned)


def assert_reported(tuned: Tuned) -> None:
    """The report says what was found, and draws it."""
    folder = report_write(tuned)
    page = (folder / "report.md").read_text("utf-8")
    assert summary(tuned) in page
    assert f"| learning_rate | 0.0001 | {tuned.better['learning_rate']} |" in page
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_study_anew_finds_the_same_which_is_put_in_force_and_recorded_with_the_next_version() -> None:
    first, tuned = search(2), tune(asked=asked(), trials=2, storage="sqlite:///:memory:")
    assert [trial.params for trial in tuned.study.trials] == [trial.params for trial in first.study.trials]
    assert [trial.value for trial in tuned.study.trials] == [trial.value for trial in first.study.trials]

    assert tuned_apply(tuned, now=NOW)

    assert train_options_of(shop_id=SHOP_ID).learning_rate == tuned.better["learning_rate"]
    assert shop_train(shop_id=SHOP_ID, now=NOW, every=150) is not None
    options = model_get(shop_id=SHOP_ID, version="1.1").config["options"]
    assert options["learning_rate"] == tuned.better["learning_rate"]


def test_what_is_no_better_is_not_put_in_force() -> None:
    tuned = search(2, space={"learning_rate": Real(1e-7, 1.1e-7)}, in_force=replace(IN_FORCE, learning_rate=0.025))

    assert tuned.gain is None
    assert not tuned_apply(tuned, now=NOW)
    assert train_options_chosen(shop_id=SHOP_ID) == {}


def test_lists_that_were_shown_judge_by_pairs_as_well() -> None:
    shop_visits(SHOP_ID, 200, seed=3)
    start, end = range_newest(shop_id=SHOP_ID, count=200)

    tuned = search(1, from_position=start, to_position=end)

    assert tuned.baseline.user_attrs["means"].keys() == {"mrr", "accuracy"}


def test_a_range_is_not_started_from_a_version_that_it_taught() -> None:
    shop_train(shop_id=SHOP_ID, now=NOW, every=150, options=IN_FORCE)
    judged_to = model_get(shop_id=SHOP_ID, version="1.1").metrics["judged_to_position"]

    assert start_of(shop_id=SHOP_ID, position=judged_to - 1).version == "1.0"


def test_too_few_click_throughs_are_refused() -> None:
    with pytest.raises(NothingToTuneOn, match="3 chunks of at least 50"):
        search(1, from_position=range_newest(shop_id=SHOP_ID, count=100)[0])


def test_an_option_that_is_not_there_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(BadTrainOptions, match="did you mean 'learning_rate'"):
        train_options_set(shop_id=SHOP_ID, options={"lerning_rate": 0.1}, reason="by hand", now=NOW)

    assert train_options_chosen(shop_id=SHOP_ID) == {}


@pytest.mark.parametrize(
    ("option", "value"),
    [("learning_rate", 0), ("ema", 1.0), ("loss", "mean"), ("batch", 2.5), ("words", 1), ("replay", float("nan"))],
)
def test_a_value_that_is_not_possible_is_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(BadTrainOptions) as refused:
        train_options_set(shop_id=SHOP_ID, options={option: value}, reason="by hand", now=NOW)

    assert refused.value.field == option
    assert train_options_chosen(shop_id=SHOP_ID) == {}


def test_options_are_set_shown_and_reset_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("train_options", "learning_rate=0.002", "loss=pairwise_sigmoid")
    call_command("train_options", "replay=0.4")

    assert train_options_chosen(shop_id=SHOP_ID) == {"learning_rate": 0.002, "loss": "pairwise_sigmoid", "replay": 0.4}
    assert "(default 0.001)" in capsys.readouterr().out
    with pytest.raises(CommandError, match="loss: Input should be"):
        call_command("train_options", "loss=best")
    call_command("train_options", "--reset")
    assert train_options_of(shop_id=SHOP_ID) == DEFAULTS


def test_the_command_searches_reports_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("train_options", "most_steps=6", "batch=16")

    call_command("tune", "--trials=2", "--last=300", "--folds=1", "--vary=ridge")

    said = capsys.readouterr().out
    assert "To go on with it later: --from-position" in said
    assert "report.md" in said
    with pytest.raises(CommandError, match="'rank' is not among"):
        call_command("tune", "--vary=rank")


@pytest.mark.usefixtures("real_db")
def test_postgresql_refuses_whatever_a_search_would_write() -> None:
    with read_only(), pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        query("UPDATE eventlog_sequencer SET last = 99")

    query("UPDATE eventlog_sequencer SET last = 0")
    assert Shop.objects.count() == 1
