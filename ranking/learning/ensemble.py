"""The mean of the last versions' tensors, served instead of the newest alone: versions that differ by the luck of a range
lie around what they have in common.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
inference time", 2022; over one run, Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
Generalization", 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from ranking.learning.artefact import Artefact, artefact_read
from ranking.registry import ModelVersion, artefact_load, model_get


def averaged(newest: Artefact, *, parent: ModelVersion, versions: int) -> Artefact:
    """The newest tensors averaged with those of its nearest `versions` - 1 ancestors of the same major, kind and shape.

    The mean is of what training ended with each time, which the artefact keeps beside it. The line ends at the first that
    is of another shape: what lies before it was about something else. The head stays the newest's, to be fitted to the
    mean. Same ancestors, same bytes.
    """
    return _mean(newest, list(islice(_alike(lineage(parent), newest), versions - 1)))


def as_trained(artefact: Artefact) -> Artefact:
    """What the next version goes on from: where training ended, and not the mean that is served."""
    return replace(artefact, tensors=artefact.trained or artefact.tensors, trained={})


def lineage(version: ModelVersion) -> Iterator[Artefact]:
    """A version and what it goes on from as training ended with them, nearest first, within its major version."""
    major = version.major
    while version.major == major:
        yield as_trained(artefact_read(artefact_load(version.artefact)))
        if version.parent is None:
            return
        version = model_get(shop_id=version.shop_id, version=version.parent)


def _alike(artefacts: Iterable[Artefact], newest: Artefact) -> Iterator[Artefact]:
    for artefact in artefacts:
        if artefact.adapter != newest.adapter or _shapes(artefact) != _shapes(newest):
            return
        yield artefact


def _shapes(artefact: Artefact) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in artefact.tensors.items()}


def _mean(newest: Artefact, others: Sequence[Artefact]) -> Artefact:
    if not others:
        return newest
    every = [newest, *others]
    tensors = {name: torch.stack([each.tensors[name] for each in every]).mean(dim=0) for name in newest.tensors}
    return replace(newest, tensors=tensors, trained=newest.tensors)
