"""How the trainer computes a forward pass: in which precision, and by which attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ranking.learning.options import Precision


@contextmanager
def computing(device: torch.device, precision: Precision) -> Iterator[None]:
    """Matrix products in bf16 where that is chosen (autocast), attention written out on a CPU.

    There the backward pass of the fused attention took half of a step (4.0 s of 32 product texts, written out 2.5 s).
    Weights cast in here are kept until it ends: what needs gradients must not be mixed with what runs without.
    """
    attention = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with attention, torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        yield
