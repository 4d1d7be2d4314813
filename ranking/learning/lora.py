"""LoRA through peft: a trainable adapter on the query tower, and its tensors afterwards. Only the trainer imports this."""

from __future__ import annotations

import copy
from typing import cast

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from ranking.encoders import Encoder
from ranking.learning.adapters import model_shell
from ranking.learning.artefact import Artefact
from ranking.learning.options import TrainOptions

_NAME = "default"  # peft's own name of the one adapter
# query and value projections, as the families of encoders call them (Hu et al., 2021, section 7.1: the best two)
_ATTENTION = ({"query", "value"}, {"q_proj", "v_proj"}, {"q_lin", "v_lin"}, {"q", "v"}, {"Wqkv"}, {"query_key_value"})


def adapter_attach(frozen: Encoder, parent: Artefact, options: TrainOptions) -> Encoder:
    """Return a tower over the encoder's own weights with a trainable LoRA, which starts where the parent's ended.

    New ones start as no change (B = 0, A drawn from torch's seeded generator). Raises ValueError for an encoder whose
    attention has none of the known names.
    """
    rank, scale = options.rank, options.alpha / options.rank
    if parent.tensors:
        rank, scale = int(parent.adapter["rank"]), float(parent.adapter["scale"])
    tower = copy.copy(frozen)
    tower.model = model_shell(frozen.model)
    config = LoraConfig(
        r=rank,
        lora_alpha=round(scale * rank),
        lora_dropout=0.0,
        bias="none",
        target_modules=sorted(_attention(frozen.model)),
    )
    inject_adapter_in_model(config, tower.model)
    with torch.no_grad():
        for name, module in _loras(tower.model).items():
            if parent.tensors:
                a, b = _matrices(module)
                a.copy_(parent.tensors[f"{name}.lora_A"])
                b.copy_(parent.tensors[f"{name}.lora_B"])
    return tower


def adapter_read(tower: Encoder) -> tuple[dict[str, Tensor], dict[str, float | str]]:
    """Take the tensors of a trained adapter, on the CPU in fp32, and what it takes to apply them."""
    loras = _loras(tower.model)
    tensors = {}
    for name, module in loras.items():
        a, b = _matrices(module)
        tensors[f"{name}.lora_A"] = a.detach().float().cpu().clone()  # (r, in)
        tensors[f"{name}.lora_B"] = b.detach().float().cpu().clone()  # (out, r)
    one = next(iter(loras.values()))
    return tensors, {"kind": "lora", "rank": int(one.r[_NAME]), "scale": float(one.scaling[_NAME])}


def _attention(model: nn.Module) -> set[str]:
    last = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for names in _ATTENTION:
        if names <= last:
            return names
    raise ValueError(f"no attention to adapt among {', '.join(sorted(last))}")


def _loras(model: nn.Module) -> dict[str, LoraLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}


def _matrices(module: LoraLinear) -> tuple[Tensor, Tensor]:
    return cast("Tensor", module.lora_A[_NAME].weight), cast("Tensor", module.lora_B[_NAME].weight)
