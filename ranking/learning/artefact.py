"""What a minor version is made of: the head, the tensors that move the query tower, and the shopper tower's.

One safetensors file, no dates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import torch
from safetensors.torch import load, save

from ranking.relevance import Head

_MANIFEST = "manifest"
_TRAINED = "trained."  # before the names of the tensors that training ended with
_FOLD = "fold."  # and a number, before the names of the tensors of a fold's version
_SHOPPER = "shopper."  # before the names of the shopper tower's tensors


@dataclass(frozen=True)
class Artefact:
    """`tensors` is empty for a version that only has a head; `adapter` says how they are applied (kind, scale).

    `expected` is how much more than average the version expects of a product where it was shown, by product id.
    `trained`: where the tensors are an average of versions, those that training ended with; empty where they are the same.
    `folds` are the tensors of versions each of which was never taught the queries of its fold; they judge, and serve nobody.
    `shopper` is the shopper tower's, empty for a version without one, and `shopper_shape` what these tensors do not say.
    """

    head: Head
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    adapter: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    trained: dict[str, torch.Tensor] = field(default_factory=dict)
    folds: tuple[dict[str, torch.Tensor], ...] = ()
    shopper: dict[str, torch.Tensor] = field(default_factory=dict)
    shopper_shape: dict[str, Any] = field(default_factory=dict)


def artefact_write(artefact: Artefact) -> bytes:
    """Serialise; the same artefact gives the same bytes."""
    manifest: dict[str, Any] = {"adapter": artefact.adapter, "head": artefact.head.to_dict()}
    if artefact.expected:
        manifest["expected"] = artefact.expected
    if artefact.folds:
        manifest["folds"] = len(artefact.folds)
    if artefact.shopper:
        manifest["shopper"] = artefact.shopper_shape
    every = artefact.tensors | _prefixed(_TRAINED, artefact.trained) | _prefixed(_SHOPPER, artefact.shopper)
    for number, tensors_ in enumerate(artefact.folds):
        every |= _prefixed(f"{_FOLD}{number}.", tensors_)
    tensors = {name: every[name].contiguous() for name in sorted(every)}
    return save(tensors, metadata={_MANIFEST: orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode()})


def artefact_read(content: bytes) -> Artefact:
    """Read what artefact_write wrote."""
    header = orjson.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    manifest = orjson.loads(header["__metadata__"][_MANIFEST])
    every = load(content)
    return Artefact(
        head=Head.from_dict(manifest["head"]),
        tensors={name: each for name, each in every.items() if not name.startswith((_TRAINED, _SHOPPER, _FOLD))},
        adapter=manifest["adapter"],
        expected=manifest.get("expected", {}),
        trained=_unprefixed(_TRAINED, every),
        folds=tuple(_unprefixed(f"{_FOLD}{number}.", every) for number in range(manifest.get("folds", 0))),
        shopper=_unprefixed(_SHOPPER, every),
        shopper_shape=manifest.get("shopper", {}),
    )


def _prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _unprefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
