"""Bottleneck adapters: two small layers behind each block of the query tower. peft has none; the trainer and serving share these.

Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", 2019: behind attention and behind the feed-forward layer.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact
from ranking.learning.shell import model_shell

# the layers that end a block, as the families of encoders call them
_ENDS = ({"output.dense"}, {"out_lin", "lin2"}, {"attn.Wo", "mlp.Wo"}, {"out_proj", "fc2"})


class Bottleneck(nn.Module):
    """A linear layer and behind it h + up(gelu(down(h))); up starts at 0, so that a new one changes nothing."""

    def __init__(self, base: nn.Linear, size: int) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.out_features, size, device=base.weight.device)
        self.up = nn.Linear(size, base.out_features, device=base.weight.device)
        nn.init.normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        found = self.base(hidden)
        moved: Tensor = found + self.up(functional.gelu(self.down(found)))
        return moved


def bottlenecks_attach(frozen: Encoder, artefact: Artefact, *, size: int) -> Encoder:
    """Return a tower over the encoder's own weights with bottlenecks: the artefact's, new ones when it has none.

    Raises ValueError for an encoder whose blocks end in none of the known names.
    """
    tower = copy.copy(frozen)
    tower.model = model_shell(frozen.model)
    for name in _block_ends(tower.model):
        base = tower.model.get_submodule(name)
        assert isinstance(base, nn.Linear)
        tower.model.set_submodule(name, Bottleneck(base, size))
    with torch.no_grad():
        for name, tensor in bottlenecks_of(tower.model).items():
            if artefact.tensors:
                tensor.copy_(artefact.tensors[name])
    return tower


def bottlenecks_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of all bottlenecks by name."""
    return {
        f"{name}.{part}": parameter
        for name, module in model.named_modules()
        if isinstance(module, Bottleneck)
        for part, parameter in module.named_parameters()
        if not part.startswith("base.")
    }


def _block_ends(model: nn.Module) -> list[str]:
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for ends in _ENDS:
        found = [name for name in linear if any(name.endswith(f".{end}") for end in ends)]
        if found:
            return found
    raise ValueError("no block to put a bottleneck behind")
