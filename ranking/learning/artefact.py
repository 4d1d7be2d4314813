"""What a minor version is made of: the head, and the tensors that move the query tower. One safetensors file, no dates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import torch
from safetensors.torch import load, save

from ranking.relevance import Head

_MANIFEST = "manifest"
_TRAINED = "trained."  # before the names of the tensors that training ended with


@dataclass(frozen=True)
class Artefact:
    """`tensors` is empty for a version that only has a head; `adapter` says how they are applied (kind, scale).

    `expected` is how much more than average the version expects of a product where it was shown, by product id.
    `trained`: where the tensors are an average of versions, those that training ended with; empty where they are the same.
    """

    head: Head
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    adapter: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    trained: dict[str, torch.Tensor] = field(default_factory=dict)


def artefact_write(artefact: Artefact) -> bytes:
    """Serialise; the same artefact gives the same bytes."""
    manifest: dict[str, Any] = {"adapter": artefact.adapter, "head": artefact.head.to_dict()}
    if artefact.expected:
        manifest["expected"] = artefact.expected
    every = artefact.tensors | {_TRAINED + name: tensor for name, tensor in artefact.trained.items()}
    tensors = {name: every[name].contiguous() for name in sorted(every)}
    return save(tensors, metadata={_MANIFEST: orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode()})


def artefact_read(content: bytes) -> Artefact:
    """Read what artefact_write wrote."""
    header = orjson.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    manifest = orjson.loads(header["__metadata__"][_MANIFEST])
    every = load(content)
    return Artefact(
        head=Head.from_dict(manifest["head"]),
        tensors={name: each for name, each in every.items() if not name.startswith(_TRAINED)},
        adapter=manifest["adapter"],
        expected=manifest.get("expected", {}),
        trained={name.removeprefix(_TRAINED): each for name, each in every.items() if name.startswith(_TRAINED)},
    )
