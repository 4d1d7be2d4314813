"""LoRA and AdaLoRA through peft: trainable deltas of the query tower's attention. Only the trainer imports this."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from peft import AdaLoraConfig, LoraConfig, inject_adapter_in_model
from peft.tuners.adalora import AdaLoraModel, SVDLinear
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact
from ranking.learning.options import TrainOptions
from ranking.learning.shell import model_shell
from ranking.learning.trainable import Read, Trainable, kept, learning, no_budget

_NAME = "default"  # peft's own name of the one adapter
# query and value projections, as the families of encoders call them (Hu et al., 2021, section 7.1: the best two)
_ATTENTION = ({"query", "value"}, {"q_proj", "v_proj"}, {"q_lin", "v_lin"}, {"q", "v"}, {"Wqkv"}, {"query_key_value"})
_START_SHARE = 1.5  # of the rank: what AdaLoRA starts with and gives up again (Zhang et al., 2023, section 4)
_RISE, _SETTLE = 0.1, 0.3  # shares of the steps before AdaLoRA cuts its budget, and after
_LEAST_STEPS = 3  # fewer leave none from which to tell what the loss feels
_ORTHOGONAL = 0.5  # weight of its regulariser, peft's own default


def lora(frozen: Encoder, parent: Artefact, options: TrainOptions, steps: int) -> Trainable:
    """A tower over the encoder's own weights with a LoRA, which starts where the parent's ended.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. New ones start as no change (B = 0, A drawn
    from torch's seeded generator). Raises ValueError for an encoder whose attention has none of the known names.
    """
    rank, scale = options.rank, options.alpha / options.rank
    if parent.tensors:
        rank, scale = int(parent.adapter["rank"]), float(parent.adapter["scale"])
    tower = _over(frozen)
    targets = sorted(_attention(frozen.model))
    config = LoraConfig(
        r=rank, lora_alpha=round(scale * rank), lora_dropout=0.0, bias="none", target_modules=targets
    )  # fmt: skip
    inject_adapter_in_model(config, tower.model)

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, module in tower.model.named_modules():
            if isinstance(module, LoraLinear):
                yield f"{name}.lora_A", module.lora_A[_NAME].weight  # type: ignore[misc]  # (r, in)
                yield f"{name}.lora_B", module.lora_B[_NAME].weight  # type: ignore[misc]  # (out, r)

    def read() -> Read:
        return {name: kept(tensor) for name, tensor in tensors()}, {"kind": "lora", "rank": rank, "scale": scale}

    _copy(parent, tensors())
    return Trainable(tower, learning(tower.model), read)


def adalora(frozen: Encoder, parent: Artefact, options: TrainOptions, steps: int) -> Trainable:
    """As `lora`, with deltas B · diag(E) · A of which those singular values go that the loss hardly feels.

    Each version starts with 1.5 times the rank a matrix and ends with the rank on average, where it helps most. Zhang et
    al., "AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning", 2023. Raises as `lora`.
    """
    rank, alpha = round(options.rank * _START_SHARE), round(options.alpha)
    if parent.tensors:
        rank, alpha = int(parent.adapter["rank"]), int(parent.adapter["alpha"])
    tower = _over(frozen)
    settle = round(_SETTLE * steps)
    config = AdaLoraConfig(
        target_r=round(rank / _START_SHARE), init_r=rank, tinit=min(round(_RISE * steps), steps - settle - 1),
        tfinal=settle, total_step=steps, lora_alpha=alpha, lora_dropout=0.0, bias="none",
        target_modules=sorted(_attention(frozen.model)),
    )  # fmt: skip
    tuner = AdaLoraModel(tower.model, config, _NAME)  # type: ignore[no-untyped-call]
    modules = {name: module for name, module in tower.model.named_modules() if isinstance(module, SVDLinear)}

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, module in modules.items():
            a, b, e = _factors(module)
            yield from ((f"{name}.lora_A", a), (f"{name}.lora_B", b), (f"{name}.lora_E", e))

    def read() -> Read:
        if config.rank_pattern:  # an average of weights has a little of what was cut on the way
            mask = tuner.rankallocator.mask_using_rank_pattern
            mask(tower.model, config.rank_pattern)  # type: ignore[no-untyped-call]
        how = {"kind": "adalora", "rank": rank, "alpha": alpha, "scale": alpha / (rank + 1e-5)}  # 1e-5: as peft divides
        return {name: kept(tensor) for name, tensor in tensors()}, how

    def regularise() -> None:
        (_ORTHOGONAL * _skewness(modules.values())).backward()  # type: ignore[no-untyped-call]

    _copy(parent, tensors())
    allocate = tuner.update_and_allocate if steps >= _LEAST_STEPS else no_budget
    return Trainable(tower, learning(tower.model), read, regularise, allocate)


def _skewness(modules: Iterable[SVDLinear]) -> Tensor:
    """Mean Frobenius norm of A Aᵀ - I and Bᵀ B - I: with it, E are singular values."""
    norms = []
    for module in modules:
        a, b, _ = _factors(module)
        unit = torch.eye(len(a), device=a.device)
        norms += [torch.linalg.norm(a @ a.T - unit), torch.linalg.norm(b.T @ b - unit)]
    return torch.stack(norms).mean()


def _factors(module: SVDLinear) -> tuple[Tensor, Tensor, Tensor]:
    """A (r, in), B (out, r) and E (r, 1)."""
    a, b, e = (cast("Tensor", factor[_NAME]) for factor in (module.lora_A, module.lora_B, module.lora_E))
    return a, b, e


def _over(frozen: Encoder) -> Encoder:
    tower = copy.copy(frozen)
    tower.model = model_shell(frozen.model)
    return tower


def _copy(parent: Artefact, tensors: Iterator[tuple[str, Tensor]]) -> None:
    with torch.no_grad():
        for name, tensor in tensors:
            if parent.tensors:
                tensor.copy_(parent.tensors[name])


def _attention(model: nn.Module) -> set[str]:
    last = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for names in _ATTENTION:
        if names <= last:
            return names
    raise ValueError(f"no attention to adapt among {', '.join(sorted(last))}")
