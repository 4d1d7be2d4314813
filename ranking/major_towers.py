"""Two fine-tuned towers as one file, and as encoders: the name `towers:<hash>` stands where an encoder's name does.

So all that is told which encoder lies below a version (serving, training of minor versions, embedding) works on a
fine-tuned one as it does on the pre-trained one. The file holds what was moved; the rest is the base encoder's, which
must be the very one that was fine-tuned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import orjson
import torch
from django.conf import settings
from safetensors.torch import load, save

from ranking.artefacts import ArtefactDamaged, towers_load
from ranking.encoders import DTYPES, Encoder, Precision, encoder_load

PREFIX = "towers:"
Side: TypeAlias = Literal["query", "product"]
_MANIFEST = "manifest"


def towers_name(digest: str) -> str:
    """The name of an encoder whose towers are kept under this hash."""
    return f"{PREFIX}{digest}"


def towers_write(
    *, query: Mapping[str, torch.Tensor], product: Mapping[str, torch.Tensor], base: Encoder, base_name: str | None
) -> bytes:
    """Serialise the parameters that differ from the base encoder's; the same towers give the same bytes."""
    sides = {"query": query, "product": product}
    tensors = {f"{side}.{name}": sides[side][name].contiguous() for side in sides for name in sorted(sides[side])}
    manifest = {"base": base_name, "fingerprint": base.fingerprint}
    return save(tensors, metadata={_MANIFEST: orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode()})


def encoder_named(name: str | None, *, side: Side, precision: Precision, device: str | None = None) -> Encoder:
    """Load an encoder by the name that a version's config gives: one of FRESHET_ENCODER's, or `towers:<hash>`.

    Raises ArtefactMissing, ArtefactDamaged, OSError.
    """
    if name is None or not name.startswith(PREFIX):
        return encoder_load(name, home=settings.FRESHET_HOME, precision=precision, device=device)
    digest = name.removeprefix(PREFIX)
    content = towers_load(digest)
    manifest = _manifest(content)
    encoder = encoder_load(manifest["base"], home=settings.FRESHET_HOME, precision=precision, device=device)
    if encoder.fingerprint != manifest["fingerprint"]:
        raise ArtefactDamaged(
            f"{digest[:12]} was fine-tuned from another encoder than what {manifest['base'] or 'the default'} is here."
        )
    own = dict(encoder.model.named_parameters())
    with torch.no_grad():
        for key, tensor in load(content).items():
            of, _, parameter = key.partition(".")
            if of == side:
                own[parameter].copy_(tensor.to(DTYPES[precision]))
    encoder.fingerprint = digest
    return encoder


def base_name(name: str | None) -> str | None:
    """The pre-trained encoder below an encoder's name: what `towers:<hash>` was fine-tuned from, else the name itself.

    Raises ArtefactMissing, ArtefactDamaged.
    """
    if name is None or not name.startswith(PREFIX):
        return name
    found: str | None = _manifest(towers_load(name.removeprefix(PREFIX)))["base"]
    return found


def _manifest(content: bytes) -> dict[str, Any]:
    header = orjson.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    manifest: dict[str, Any] = orjson.loads(header["__metadata__"][_MANIFEST])
    return manifest
