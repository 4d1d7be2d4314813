"""What TensorBoard and W&B are told of a trained version, read back from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ranking import watching
from ranking.learning.options import TrainOptions
from ranking.registry import model_get
from ranking.training import Outcome, shop_train
from tests.learning_shop import NOW, shop_clicks, shop_fill
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
QUICK = TrainOptions(learning_rate=0.01, epochs=10, most_steps=12, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _learning_shop(db: None, settings: Any, tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_uploading", [])
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 300, seed=1)


def train_one() -> Outcome:
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=QUICK)
    assert outcome is not None
    return outcome


def curves(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def test_a_version_leaves_its_losses_rates_and_norms_step_by_step_in_a_run_of_its_own(
    settings: Any, tmp_path: Path
) -> None:
    settings.FRESHET_TENSORBOARD = tmp_path

    outcome = train_one()

    run = curves(tmp_path / "shop-1" / outcome.version)
    losses = [event.value for event in run.Scalars("train/loss")]
    rates = [event.value for event in run.Scalars("train/learning_rate")]
    assert [event.step for event in run.Scalars("train/gradient_norm")] == list(range(1, 13))
    assert losses[0] == pytest.approx(outcome.metrics["loss_first"])
    assert max(rates) == pytest.approx(QUICK.learning_rate)
    assert rates[-1] < rates[len(rates) // 2]


def test_what_the_gate_found_stands_at_the_number_of_the_version(settings: Any, tmp_path: Path) -> None:
    settings.FRESHET_TENSORBOARD = tmp_path

    outcome = train_one()

    run = curves(tmp_path / "shop-1" / "1.1")
    (found,) = run.Scalars("gate/candidate/mrr")
    assert (found.step, found.value) == (1, pytest.approx(outcome.metrics["gate"]["candidate"]["mrr"]))
    assert {"gate/serving/mrr", "gate/overlap", "version/seconds", "version/promoted"} <= set(run.Tags()["scalars"])


def test_how_long_it_took_is_kept_with_the_version() -> None:
    outcome = train_one()

    assert model_get(shop_id=SHOP_ID, version=outcome.version).metrics["seconds"] > 0


def test_a_folder_that_cannot_be_written_costs_no_version(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    settings.FRESHET_TENSORBOARD = tmp_path / "file"

    assert train_one().version == "1.1"


def test_wandb_gets_a_run_offline_by_a_process_that_training_does_not_wait_for(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WANDB_API_KEY, settings.FRESHET_HOME = "0" * 40, tmp_path
    monkeypatch.setenv("WANDB_MODE", "offline")

    outcome = train_one()
    (process,) = watching._uploading
    assert process.wait(timeout=60) == 0

    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    content = file.read_bytes()
    assert content.count(b"gradient_norm") >= 12
    assert f"shop-1 {outcome.version}".encode() in content
    assert b"gate/candidate/mrr" in content


def test_a_key_without_a_network_ends_as_a_run_kept_for_later(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WANDB_API_KEY, settings.FRESHET_HOME = "0" * 40, tmp_path
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")

    train_one()
    (process,) = watching._uploading

    assert process.wait(timeout=60) == 0
    assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 1


def test_without_a_key_nothing_is_started() -> None:
    train_one()

    assert not watching._uploading
