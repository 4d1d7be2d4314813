"""The rows of the bench of privacy: what each is trained with."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from bench.privacy import noisy, ways
from ranking.learning.options import DEFAULTS, PRIVATE_KINDS, options_of_kind


def test_as_usual_is_the_default_and_the_kind_that_can_be_private_stands_beside_without_privacy() -> None:
    found = ways({})

    assert list(found) == [
        "as usual", "LoRA, no privacy", "private, without its noise, ε ∞", "private, ε 8", "private, ε 3", "private, ε 1",
    ]  # fmt: skip
    assert found["as usual"] == DEFAULTS
    assert found["LoRA, no privacy"] == options_of_kind("lora")


def test_private_rows_differ_from_lora_in_epsilon_alone() -> None:
    lora, *private = list(ways({}).values())[1:]

    assert lora.adapter in PRIVATE_KINDS
    assert [each.epsilon for each in private] == [inf, 8.0, 3.0, 1.0]
    assert {replace(each, epsilon=None) for each in private} == {lora}


def test_only_noise_is_drawn_more_than_once_and_options_are_for_all_rows() -> None:
    found = ways({"most_steps": 7})

    assert [name for name, options in found.items() if noisy(options)] == [
        "private, ε 8",
        "private, ε 3",
        "private, ε 1",
    ]
    assert {options.most_steps for options in found.values()} == {7}
