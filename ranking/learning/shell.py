"""Copies of a transformer that share its weights."""

from __future__ import annotations

import copy
from collections.abc import Collection

from transformers import PreTrainedModel


def model_shell(model: PreTrainedModel, *, copied: Collection[str] = ()) -> PreTrainedModel:
    """A copy of the modules that shares every parameter and buffer but those of the modules named."""
    own = {id(parameter) for name in copied for parameter in model.get_submodule(name).parameters(recurse=False)}
    tensors = (*model.parameters(), *model.buffers())
    return copy.deepcopy(model, memo={id(tensor): tensor for tensor in tensors if id(tensor) not in own})
