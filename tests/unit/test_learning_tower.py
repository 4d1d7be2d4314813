"""The adapter: from the trainer's tower to the artefact and to the tower that serves, with the same vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ranking.encoders import Encoder, encoder_load
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import Artefact, artefact_read, artefact_write
from ranking.learning.kinds import KINDS, adapter_attach
from ranking.learning.options import AdapterKind, TrainOptions
from ranking.learning.projection import Remembering
from ranking.learning.train import torch_as
from ranking.learning.trainable import Trainable
from ranking.relevance import head_default
from tests.tiny_encoder import tiny_encoder_write

HEAD = head_default("all-minilm-l6-v2")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("tiny")
    return encoder_load(tiny_encoder_write(folder), home=folder, device="cpu")


@pytest.fixture(params=sorted(KINDS))
def options(request: pytest.FixtureRequest) -> TrainOptions:
    return TrainOptions(adapter=request.param)


def attach(frozen: Encoder, artefact: Artefact, options: TrainOptions) -> Trainable:
    with torch_as(threads=1, seed=3):
        return adapter_attach(frozen, artefact, options, steps=10)


@pytest.fixture
def moved(frozen: Encoder, options: TrainOptions) -> Trainable:
    """A tower whose adapter was pushed somewhere, as by training."""
    trainable = attach(frozen, Artefact(HEAD), options)
    with torch_as(threads=1, seed=3), torch.no_grad():
        for parameter in trainable.parameters:
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return trainable


def artefact_of(trainable: Trainable) -> Artefact:
    return Artefact(HEAD, *trainable.read())


def apart(one: Encoder, other: Encoder) -> float:
    return float(np.abs(one.encode_query("red mug") - other.encode_query("red mug")).max())


def test_a_new_adapter_changes_nothing(frozen: Encoder, options: TrainOptions) -> None:
    assert apart(attach(frozen, Artefact(HEAD), options).tower, frozen) == 0.0


def test_the_tower_that_serves_gives_the_vectors_that_were_trained(frozen: Encoder, moved: Trainable) -> None:
    serving = tower_with_adapter(frozen, artefact_read(artefact_write(artefact_of(moved))))

    assert apart(serving, moved.tower) < 1e-6
    assert apart(serving, frozen) > 1e-2


def test_vectors_remembered_in_training_are_taken_for_no_other_tower_and_from_none(
    frozen: Encoder, moved: Trainable
) -> None:
    remembering = Remembering(frozen)
    over = tower_with_adapter(remembering, artefact_of(moved))

    assert (
        apart(over, tower_with_adapter(frozen, artefact_of(moved))) == 0.0
    )  # red mug is asked here for the first time
    assert apart(remembering, frozen) == 0.0
    assert apart(over, frozen) > 1e-2  # nor once it is remembered


def test_an_adapter_starts_where_its_parent_ended_whatever_the_options_say(frozen: Encoder, moved: Trainable) -> None:
    child = attach(frozen, artefact_of(moved), TrainOptions(rank=2))

    assert apart(child.tower, moved.tower) < 1e-6


def test_the_frozen_encoder_stays_as_it_was(frozen: Encoder, options: TrainOptions) -> None:
    before = frozen.encode_query("red mug")
    trainable = attach(frozen, Artefact(HEAD), options)
    with torch.no_grad():
        for parameter in trainable.parameters:
            parameter.add_(1.0)
    tower_with_adapter(frozen, artefact_of(trainable))

    assert np.array_equal(frozen.encode_query("red mug"), before)


def test_low_rank_towers_share_all_that_does_not_differ(frozen: Encoder) -> None:
    serving = tower_with_adapter(frozen, artefact_of(attach(frozen, Artefact(HEAD), TrainOptions())))

    own = {name for name, parameter in serving.model.named_parameters()
           if parameter.data_ptr() != frozen.model.get_parameter(name).data_ptr()}  # fmt: skip
    assert own == {f"encoder.layer.{n}.attention.self.{part}.{kind}"
                   for n in range(2) for part in ("query", "value") for kind in ("weight", "bias")}  # fmt: skip


def test_an_artefact_is_the_same_bytes_after_reading(moved: Trainable) -> None:
    content = artefact_write(artefact_of(moved))

    assert artefact_write(artefact_read(content)) == content


@pytest.mark.parametrize(("kind", "mark"), [("lora", "lora_"), ("adalora", "lora_"), ("bottleneck", "down. up.")])
def test_only_the_adapter_learns(frozen: Encoder, kind: AdapterKind, mark: str) -> None:
    model = attach(frozen, Artefact(HEAD), TrainOptions(adapter=kind)).tower.model

    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names
    assert all(any(part in name for part in mark.split()) for name in names)


@pytest.mark.parametrize("words", [False, True])
def test_full_moves_all_weights_and_words_only_when_told(frozen: Encoder, words: bool) -> None:
    tensors = attach(frozen, Artefact(HEAD), TrainOptions(adapter="full", words=words)).read()[0]

    every = {name for name, _ in frozen.model.named_parameters()}
    assert every - set(tensors) == (set() if words else {"embeddings.word_embeddings.weight"})


@pytest.mark.parametrize("kind", ["lora", "adalora", "bottleneck"])
def test_an_encoder_of_an_unknown_kind_is_refused(frozen: Encoder, kind: AdapterKind) -> None:
    other = encoder_load(frozen.name, home=Path(frozen.name), device="cpu")
    other.model = torch.nn.Bilinear(2, 2, 2)  # type: ignore[assignment]

    with pytest.raises(ValueError, match=r"no (attention|block)"):
        attach(other, Artefact(HEAD), TrainOptions(adapter=kind))
