"""What the training loop knows of an adapter, of whatever kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ranking.encoders import Encoder

Read = tuple[dict[str, Tensor], dict[str, Any]]


def nothing() -> None:
    """What kinds without an own regulariser do."""


def no_budget(step: int) -> None:
    """What kinds of a fixed size do."""


@dataclass(frozen=True, slots=True)
class Trainable:
    """A tower of which some parameters learn.

    `read` takes its tensors, on the CPU in fp32, and what it takes to apply them; `regularise` adds the kind's own
    gradients before a step; `allocate` is told the number of each step (from 1) after it, while its gradients are there.
    `decays`: whether a weight of 0 is one of the frozen encoder. `learning_rate`: the kind's own, where it has one.
    """

    tower: Encoder
    parameters: list[nn.Parameter]
    read: Callable[[], Read]
    regularise: Callable[[], None] = nothing
    allocate: Callable[[int], None] = no_budget
    decays: bool = True
    learning_rate: float | None = None


def learning(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn, in the order of the modules."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def kept(tensor: Tensor) -> Tensor:
    """A copy for an artefact."""
    return tensor.detach().float().cpu().clone()
