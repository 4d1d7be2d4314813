"""The adapter: from the trainer's tower to the artefact and to the tower that serves, with the same vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ranking.encoders import Encoder, encoder_load
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import Artefact, artefact_read, artefact_write
from ranking.learning.lora import adapter_attach, adapter_read
from ranking.learning.options import TrainOptions
from ranking.learning.train import torch_as
from ranking.relevance import head_default
from tests.tiny_encoder import tiny_encoder_write

HEAD = head_default("all-minilm-l6-v2")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("tiny")
    return encoder_load(tiny_encoder_write(folder), home=folder, device="cpu")


@pytest.fixture
def moved(frozen: Encoder) -> Encoder:
    """A tower whose adapter was pushed somewhere, as by training."""
    with torch_as(threads=1, seed=3):
        tower = adapter_attach(frozen, Artefact(HEAD), TrainOptions())
        with torch.no_grad():
            for parameter in tower.model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.3)
    return tower


def artefact_of(tower: Encoder) -> Artefact:
    return Artefact(HEAD, *adapter_read(tower))


def test_a_new_adapter_changes_nothing(frozen: Encoder) -> None:
    tower = adapter_attach(frozen, Artefact(HEAD), TrainOptions())

    assert np.array_equal(tower.encode_query("red mug"), frozen.encode_query("red mug"))


def test_the_tower_that_serves_gives_the_vectors_that_were_trained(frozen: Encoder, moved: Encoder) -> None:
    serving = tower_with_adapter(frozen, artefact_read(artefact_write(artefact_of(moved))))

    assert np.abs(serving.encode_query("red mug") - moved.encode_query("red mug")).max() < 1e-6
    assert np.abs(serving.encode_query("red mug") - frozen.encode_query("red mug")).max() > 1e-2


def test_an_adapter_starts_where_its_parent_ended_whatever_the_options_say(frozen: Encoder, moved: Encoder) -> None:
    child = adapter_attach(frozen, artefact_of(moved), TrainOptions(rank=2))

    assert np.abs(child.encode_query("red mug") - moved.encode_query("red mug")).max() < 1e-6


def test_towers_share_all_that_does_not_differ(frozen: Encoder, moved: Encoder) -> None:
    before = frozen.encode_query("red mug")
    serving = tower_with_adapter(frozen, artefact_of(moved))

    own = {name for name, parameter in serving.model.named_parameters()
           if parameter.data_ptr() != frozen.model.get_parameter(name).data_ptr()}  # fmt: skip
    assert own == {f"encoder.layer.{n}.attention.self.{part}.{kind}"
                   for n in range(2) for part in ("query", "value") for kind in ("weight", "bias")}  # fmt: skip
    assert np.array_equal(frozen.encode_query("red mug"), before)


def test_an_artefact_is_the_same_bytes_after_reading(moved: Encoder) -> None:
    content = artefact_write(artefact_of(moved))

    assert artefact_write(artefact_read(content)) == content


def test_only_the_adapter_learns(moved: Encoder) -> None:
    learning = {name for name, parameter in moved.model.named_parameters() if parameter.requires_grad}

    assert learning
    assert all("lora_" in name for name in learning)


def test_an_encoder_of_an_unknown_kind_is_refused(frozen: Encoder) -> None:
    other = encoder_load(frozen.name, home=Path(frozen.name), device="cpu")
    other.model = torch.nn.Linear(2, 2)  # type: ignore[assignment]

    with pytest.raises(ValueError, match="no attention"):
        adapter_attach(other, Artefact(HEAD), TrainOptions())
