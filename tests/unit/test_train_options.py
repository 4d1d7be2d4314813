"""Options of training: what may be set, what goes together, and what is kept of a choice where a line has another kind."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import get_args

import pytest

from ranking.learning.options import DEFAULTS, AdapterKind, TrainOptions, as_kind, impossible, options_of_kind
from ranking.train_options import BadTrainOptions, train_options_checked
from ranking.tuning.space import Choice, space_of

KINDS: tuple[AdapterKind, ...] = get_args(AdapterKind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_of_a_kind_and_all_that_a_search_may_find_for_it_can_be_set(kind: AdapterKind) -> None:
    defaults = options_of_kind(kind)

    assert train_options_checked(asdict(defaults)) == defaults
    assert impossible(defaults) == []
    for name, within in space_of(defaults).items():
        ends = within.values if isinstance(within, Choice) else (within.low, within.high)
        for end in ends:
            assert getattr(train_options_checked({"adapter": kind, name: end}), name) == end


def test_a_kind_that_is_chosen_brings_its_own_defaults() -> None:
    assert train_options_checked({"adapter": "lora"}) == TrainOptions()
    assert train_options_checked({"adapter": "full"}).learning_rate == 2e-5
    assert train_options_checked({"adapter": "bottleneck", "rank": 4}) == TrainOptions(adapter="bottleneck", rank=4)


def test_what_was_chosen_for_one_kind_counts_over_the_defaults_of_another() -> None:
    assert as_kind(DEFAULTS, "lora") == TrainOptions()
    assert as_kind(TrainOptions(), "projection") == DEFAULTS
    assert as_kind(replace(DEFAULTS, private_steps=30, noise_clip=0.5), "lora") == TrainOptions(
        private_steps=30, noise_clip=0.5
    )
    assert as_kind(TrainOptions(adversarial=0.05, rank=4), "projection") == replace(DEFAULTS, rank=4)


@pytest.mark.parametrize("chosen", [
    {"adversarial": 0.05},
    {"inverse_propensity": 3.0},
    {"inverse_propensity": 3.0, "adapter": "lora", "pooled": True},
])  # fmt: skip
def test_what_cannot_be_done_together_is_refused_with_the_option_and_the_remedy(chosen: dict[str, object]) -> None:
    with pytest.raises(BadTrainOptions) as refused:
        train_options_checked(chosen)

    assert refused.value.field in chosen
    assert "adapter=lora" in refused.value.detail or "pooled=false" in refused.value.detail
