"""Gradients of a loss of many queries' vectors: in as little memory as wanted, and at the worst words nearby."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ranking.encoders import Encoder
from ranking.learning.computing import computing
from ranking.learning.options import Precision

LossOf = Callable[[Tensor], Tensor]  # of vectors (B, D)


def backward(
    tower: Encoder,
    texts: Sequence[str],
    loss_of: LossOf,
    *,
    at_once: int,
    moves: Sequence[Tensor] = (),
    epsilon: float = 0.0,
    precision: Precision = "fp32",
) -> tuple[float, list[Tensor]]:
    """Add the gradients of a loss of all texts' vectors to the parameters; return it, and the worst moves of the words.

    Activations of at most `at_once` texts are in memory; with more texts each is encoded twice, and the gradients are
    those of one large batch, its negatives included: Gao et al., "Scaling Deep Contrastive Learning Batch Size under
    Memory Limited Setup", 2021. `moves` are added to the word embeddings, an entry (B, T, H) for each `at_once` texts;
    the moves returned are of relative size `epsilon`, none when it is 0.
    """
    chunks = [texts[start : start + at_once] for start in range(0, len(texts), at_once)]
    with torch.no_grad():
        given: Sequence[Tensor | None] = moves or [None] * len(chunks)
        twice = zip(chunks, given, strict=True) if len(chunks) > 1 else ()
        ahead = [_encode(tower, chunk, move, precision)[0] for chunk, move in twice]
    worst = []
    if ahead:
        vectors = torch.cat(ahead).requires_grad_()  # (B, D)
        loss = loss_of(vectors)
        loss.backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        pulls: Sequence[Tensor | None] = torch.split(vectors.grad, at_once)
    else:
        pulls = [None]
    for chunk, pull, move in zip(chunks, pulls, given, strict=True):
        found, words = _encode(tower, chunk, move, precision, follow=epsilon > 0)
        if pull is None:
            loss = loss_of(found)
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            found.backward(pull)  # type: ignore[no-untyped-call]
        if epsilon:
            worst.append(worst_move(words, epsilon))
    return float(loss.detach()), worst


def worst_move(words: Tensor, epsilon: float) -> Tensor:
    """The move of each text's word embeddings (B, T, H) that raises its loss most, of length epsilon · their own length.

    FGM: r = ε g / |g|, g the gradient. Miyato, Dai and Goodfellow, "Adversarial Training Methods for Semi-Supervised
    Text Classification", 2017. Padding has no gradient: it is not moved and does not count as length.
    """
    assert words.grad is not None
    gradient, there = words.grad, words.grad.abs().amax(dim=2, keepdim=True) > 0  # (B, T, H), (B, T, 1)
    length = torch.linalg.norm(torch.where(there, words.detach(), 0.0), dim=(1, 2), keepdim=True)  # (B, 1, 1)
    steep = torch.linalg.norm(gradient, dim=(1, 2), keepdim=True)  # (B, 1, 1)
    worst: Tensor = epsilon * length * gradient / torch.where(steep > 0, steep, 1.0)
    return worst


def _encode(
    tower: Encoder, texts: Sequence[str], move: Tensor | None, precision: Precision, *, follow: bool = False
) -> tuple[Tensor, Tensor]:
    """Vectors (B, D) of texts, and their word embeddings (B, T, H) as they were moved."""
    with _words(tower.model, move, follow=follow) as seen, computing(tower.device, precision):
        vectors = tower.forward([tower.query_text(text) for text in texts])
    return vectors.float(), seen[0] if seen else vectors  # a tower that remembers vectors reads no words


@contextmanager
def _words(model: nn.Module, move: Tensor | None, *, follow: bool) -> Iterator[list[Tensor]]:
    """Move what the word embeddings give by `move`; keep it, and with `follow` its gradient."""
    seen: list[Tensor] = []

    def hook(module: nn.Module, given: object, words: Tensor) -> Tensor:
        moved = words if move is None else words + move
        if follow:
            moved = moved if moved.requires_grad else moved.requires_grad_()
            moved.retain_grad()
        seen.append(moved)
        return moved

    handle = model.get_input_embeddings().register_forward_hook(hook)  # type: ignore[operator]
    try:
        yield seen
    finally:
        handle.remove()
