"""The kinds of adapter that can be trained. A new one goes into KINDS, and into adapters.APPLIED for serving."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact
from ranking.learning.bottleneck import bottlenecks_attach, bottlenecks_of
from ranking.learning.lora import adalora, lora
from ranking.learning.options import TrainOptions
from ranking.learning.projection import not_remembering, projection
from ranking.learning.shell import model_shell
from ranking.learning.trainable import Read, Trainable, kept, learning

Attach = Callable[[Encoder, Artefact, TrainOptions, int], Trainable]


def adapter_attach(frozen: Encoder, parent: Artefact, options: TrainOptions, *, steps: int) -> Trainable:
    """Return a tower that learns for so many steps, from where the parent's adapter ended; the parent's kind stays."""
    kind: str = parent.adapter["kind"] if parent.tensors else options.adapter
    trainable = KINDS[kind](not_remembering(frozen), parent, options, steps)  # a projection remembers by itself
    trainable.tower.model.train(False)  # no dropout: what is trained is exactly what serves
    return trainable


def bottleneck(frozen: Encoder, parent: Artefact, options: TrainOptions, steps: int) -> Trainable:
    """Bottlenecks of `rank` numbers behind each block."""
    size = int(parent.adapter["size"]) if parent.tensors else options.rank
    tower = bottlenecks_attach(frozen, parent, size=size)
    own = bottlenecks_of(tower.model)
    _only(tower, set(own))

    def read() -> Read:
        return {name: kept(parameter) for name, parameter in own.items()}, {"kind": "bottleneck", "size": size}

    return Trainable(tower, learning(tower.model), read)


def full(frozen: Encoder, parent: Artefact, options: TrainOptions, steps: int) -> Trainable:
    """All weights of the tower, the word embeddings only with `words`: an artefact of e5 has 85 MB without, 470 with them."""
    words = {name for name, parameter in frozen.model.named_parameters()
             if parameter is frozen.model.get_input_embeddings().weight}  # fmt: skip
    names = {name for name, _ in frozen.model.named_parameters()} - (set() if options.words else words)
    names |= set(parent.tensors)
    tower = copy.copy(frozen)
    tower.model = model_shell(frozen.model, copied={name.rpartition(".")[0] for name in names})
    _only(tower, names)
    own = {name: parameter for name, parameter in tower.model.named_parameters() if parameter.requires_grad}
    for name, tensor in parent.tensors.items():
        own[name].data.copy_(tensor)

    def read() -> Read:
        return {name: kept(parameter) for name, parameter in own.items()}, {"kind": "full"}

    return Trainable(tower, learning(tower.model), read, decays=False)


KINDS: Mapping[str, Attach] = {
    "projection": projection, "lora": lora, "adalora": adalora, "bottleneck": bottleneck, "full": full,
}  # fmt: skip


def _only(tower: Encoder, names: set[str]) -> None:
    """Let these parameters learn and no others, which are the frozen encoder's own."""
    for name, parameter in tower.model.named_parameters():
        parameter.requires_grad_(name in names)
