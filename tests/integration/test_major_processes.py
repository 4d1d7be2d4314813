"""`--processes 2` starts two processes that train what one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ranking.learning.major_options import MAJOR
from ranking.major_training import major_train
from ranking.registry import model_promote
from tests.cast import SHOP_ID, drain
from tests.learning_shop import NOW, shop_clicks, shop_fill
from tests.tiny_encoder import tiny_encoder_write


@pytest.fixture
def _learning_shop(real_db: None, settings: Any, tmp_path: Path) -> None:
    # committed: a transaction would be idle while the processes start
    settings.FRESHET_ENCODER = tiny_encoder_write(tmp_path)
    settings.ARTEFACT_URL = str(tmp_path / "artefacts")
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 150, seed=1)


def train(**more: Any) -> dict[str, Any]:
    # how bf16 rounds depends on what is padded together
    few = replace(MAJOR, precision="fp32", learning_rate=1e-3, batch=8, epochs=10, most_steps=6, least_overlap=0.0)
    outcome = major_train(shop_id=SHOP_ID, now=NOW, options=few, **more)
    assert outcome is not None
    return outcome.metrics


@pytest.mark.usefixtures("_learning_shop")
@pytest.mark.timeout(600)
def test_two_processes_train_what_one_does() -> None:
    one = train()
    model_promote(shop_id=SHOP_ID, version="1.0", reason="given up", now=NOW)
    drain()
    shares: list[float] = []

    two = train(processes=2, progress=shares.append)

    assert (one["processes"], two["processes"], two["steps"]) == (1, 2, 6)
    assert two["loss_last"] == pytest.approx(one["loss_last"], abs=1e-4)
    assert two["gate"]["candidate"]["mrr"] == pytest.approx(one["gate"]["candidate"]["mrr"], abs=1e-3)
    assert shares == sorted(shares)
    assert len(shares) > 6
