"""Adapters as serving needs them: from the frozen encoder and an artefact to the query tower of a minor version."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import nn
from transformers import PreTrainedModel

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact


def tower_with_adapter(frozen: Encoder, artefact: Artefact) -> Encoder:
    """Return a tower like the encoder, with the artefact's LoRA deltas added to its weights.

    Only the matrices that change are copied (14 MB of e5's 470), the rest is the encoder's own. `tensors` are named
    `<module>.lora_A` (r, in) and `<module>.lora_B` (out, r); delta = scale · B A (Hu et al., 2021).
    """
    names = sorted({name.rpartition(".")[0] for name in artefact.tensors})
    tower = copy.copy(frozen)
    tower.model = model_shell(frozen.model, copied=names)
    scale = float(artefact.adapter["scale"])
    modules: dict[str, nn.Module] = dict(tower.model.named_modules())
    with torch.no_grad():
        for name in names:
            weight = modules[name].weight
            assert isinstance(weight, nn.Parameter)
            a, b = artefact.tensors[f"{name}.lora_A"], artefact.tensors[f"{name}.lora_B"]
            weight.add_((scale * (b.float() @ a.float())).to(weight))  # (out, in)
    return tower


def model_shell(model: PreTrainedModel, *, copied: Collection[str] = ()) -> PreTrainedModel:
    """A copy of the modules that shares every parameter and buffer but those of the modules named."""
    own = {id(parameter) for name in copied for parameter in model.get_submodule(name).parameters(recurse=False)}
    tensors = (*model.parameters(), *model.buffers())
    return copy.deepcopy(model, memo={id(tensor): tensor for tensor in tensors if id(tensor) not in own})
