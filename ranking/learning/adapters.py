"""Adapters as serving needs them: from the frozen encoder and an artefact to the query tower of a minor version."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact
from ranking.learning.bottleneck import bottlenecks_attach
from ranking.learning.projection import KIND as PROJECTION
from ranking.learning.projection import not_remembering, projection_put
from ranking.learning.shell import model_shell


def tower_with_adapter(frozen: Encoder, artefact: Artefact) -> Encoder:
    """Return a tower like the encoder, moved as the artefact says; the encoder's own weights stay as they are."""
    kind = str(artefact.adapter["kind"])
    return APPLIED[kind](frozen if kind == PROJECTION else not_remembering(frozen), artefact)


def deltas_added(frozen: Encoder, artefact: Artefact) -> Encoder:
    """Add low-rank deltas to the weights they belong to.

    Only the matrices that change are copied (14 MB of e5's 470), the rest is the encoder's own. `tensors` are named
    `<module>.lora_A` (r, in), `<module>.lora_B` (out, r) and, of AdaLoRA, `<module>.lora_E` (r, 1); delta =
    scale · B A (Hu et al., 2021), or scale · B diag(E) A (Zhang et al., 2023).
    """
    names = sorted({name.rpartition(".")[0] for name in artefact.tensors})
    tower = copy.copy(frozen)
    tower.model = model_shell(frozen.model, copied=names)
    scale = float(artefact.adapter["scale"])
    with torch.no_grad():
        for name in names:
            a, b = artefact.tensors[f"{name}.lora_A"].float(), artefact.tensors[f"{name}.lora_B"].float()
            e: Tensor | float = artefact.tensors.get(f"{name}.lora_E", torch.ones(1)).float()
            weight = tower.model.get_submodule(name).weight
            assert isinstance(weight, nn.Parameter)
            weight.add_((scale * (b @ (e * a))).to(weight))  # (out, in)
    return tower


def weights_replaced(frozen: Encoder, artefact: Artefact) -> Encoder:
    """Put the artefact's weights, named as the encoder's, in the place of the encoder's."""
    tower = copy.copy(frozen)
    tower.model = model_shell(frozen.model, copied={name.rpartition(".")[0] for name in artefact.tensors})
    with torch.no_grad():
        for name, tensor in artefact.tensors.items():
            tower.model.get_parameter(name).copy_(tensor)
    return tower


def bottlenecks_put(frozen: Encoder, artefact: Artefact) -> Encoder:
    """Put the artefact's bottlenecks behind the blocks of the encoder."""
    tower = bottlenecks_attach(frozen, artefact, size=int(artefact.adapter["size"]))
    tower.model.train(False)
    return tower


APPLIED: Mapping[str, Callable[[Encoder, Artefact], Encoder]] = {
    "lora": deltas_added,
    "adalora": deltas_added,
    "bottleneck": bottlenecks_put,
    "full": weights_replaced,
    "projection": projection_put,
}
