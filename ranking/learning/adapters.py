"""Adapters: how a minor version moves the query tower away from the frozen encoder, and back into one model for serving."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact


def tower_with_adapter(frozen: Encoder, artefact: Artefact) -> Encoder:
    """Return a copy of the encoder with the artefact's LoRA deltas added to its weights.

    Word embeddings, nine tenths of a small multilingual model, are shared with the frozen encoder; only the layers are
    copied. `tensors` are named `<module>.lora_A` (r, in) and `<module>.lora_B` (out, r); delta = scale · B A (Hu 2021).
    """
    embeddings = frozen.model.get_input_embeddings()
    tower = copy.copy(frozen)
    tower.model = copy.deepcopy(frozen.model, memo={id(embeddings): embeddings})
    scale = float(artefact.adapter["scale"])
    modules: dict[str, nn.Module] = dict(tower.model.named_modules())
    with torch.no_grad():
        for name in sorted({name.rpartition(".")[0] for name in artefact.tensors}):
            module = modules[name]
            assert isinstance(module, nn.Linear)
            a, b = artefact.tensors[f"{name}.lora_A"], artefact.tensors[f"{name}.lora_B"]
            module.weight += (scale * (b.float() @ a.float())).to(module.weight)  # (out, in)
    return tower
