"""The training loop of a version that may tell little of any one shopper (DP-SGD), to be read top to bottom.

A step clips what each shopper would teach, adds them up, and hides the sum under noise. For that to bound what the
version tells of a shopper, nothing that a shopper teaches may depend on another: each example has its own list and
products drawn from the catalogue, no other query's; queries asked often are not drawn less; how many steps there are,
how much noise, and what is drawn besides shoppers, follows from the options alone. What comes after the noise (Adam,
the average of weights) sees nothing else. Abadi et al., "Deep Learning with Differential Privacy", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import torch
from opacus.grad_sample import GradSampleHooks
from torch import Tensor, nn

from ranking.encoders import Encoder
from ranking.learning.accounting import Noise, noise_for
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import Artefact
from ranking.learning.average import Average
from ranking.learning.batches import Batch, collate
from ranking.learning.calibrate import Encode
from ranking.learning.catalogue import CatalogueAt, public_rows
from ranking.learning.evaluate import remember
from ranking.learning.examples import Example
from ranking.learning.kinds import adapter_attach
from ranking.learning.losses import LOSSES, distillation
from ranking.learning.noise import Draw, clipped_sum, normal, secret
from ranking.learning.options import PRIVATE_KINDS, TrainOptions
from ranking.learning.train import Trained, rate, torch_as
from ranking.learning.trainable import learning

_FAR = -1e30  # a logit of products that are not in a list; finite, since 0 · inf is no number


class NotPrivate(ValueError):
    """These options cannot be kept private."""


def train_private(
    *,
    frozen: Encoder,
    parent: Artefact,
    catalogue: CatalogueAt,
    shoppers: Sequence[Sequence[Example]],
    options: TrainOptions,
    seed: int,
    before: Encode | None = None,
    progress: Callable[[float], None] = lambda share: None,
    draw: Draw = secret,
) -> Trained:
    """Fine-tune adapter and slopes as `train`, from the examples of each shopper; `losses` stay untold. Raises NotPrivate."""
    noise = noise_of(options, parent)
    before = before or remember((tower_with_adapter(frozen, parent) if parent.tensors else frozen).encode_query)
    rng, public = np.random.default_rng(seed), public_rows(catalogue)
    with torch_as(threads=options.threads, seed=seed):
        adapter = adapter_attach(frozen, parent, options, steps=noise.steps)
        tower, parameters = adapter.tower, halved(adapter.tower.model)
        slopes = torch.tensor([parent.head.dense, parent.head.lexical])
        factors = torch.zeros(2, requires_grad=True)
        moving = [*parameters, factors]
        optimiser = torch.optim.AdamW(
            [
                {"params": parameters, "lr": options.learning_rate, "weight_decay": options.weight_decay},
                {"params": [factors], "lr": options.head_learning_rate, "weight_decay": 0.0},
            ]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, noise.steps, options))
        average = Average(moving, options.ema)
        with per_example(tower.model):
            for step in range(1, noise.steps + 1):
                drawn = [
                    own for own, chance in zip(shoppers, draw(len(shoppers)), strict=True) if chance < noise.sample_rate
                ]
                negatives = rng.choice(public, size=min(options.public_negatives, len(public)), replace=False)
                total = torch.zeros(sum(each.numel() for each in moving), dtype=torch.float64)
                for together in packed(drawn, options.batch):
                    examples = [example for own in together for example in own]
                    owners = torch.tensor([n for n, own in enumerate(together) for _ in own])
                    batch = collate(
                        examples,
                        catalogue,
                        {},
                        options,
                        tower.device,
                        parent=parent.head,
                        before=before,
                        among=negatives,
                    )
                    gradients = example_gradients(tower, parameters, factors, slopes, batch, options)
                    total += clipped_sum(gradients, owners, options.noise_clip)
                total += noise.multiplier * options.noise_clip * torch.from_numpy(normal(len(total), draw))
                gradients_put(moving, total)
                optimiser.step()
                schedule.step()
                average.update()
                progress(step / noise.steps)
        average.settle()
        tensors, how = adapter.read()
        dense_slope, lexical_slope = (slopes * torch.exp(factors.detach())).tolist()
    head = replace(parent.head, dense=dense_slope, lexical=lexical_slope)
    privacy = {"epsilon": options.epsilon, "delta": options.delta, "noise": asdict(noise), "shoppers": len(shoppers)}
    return Trained(Artefact(head, tensors, how), [], privacy=privacy | {"steps": noise.steps})


def noise_of(options: TrainOptions, parent: Artefact) -> Noise:
    """The noise of a version with these options. Raises NotPrivate."""
    kind = parent.adapter["kind"] if parent.tensors else options.adapter
    if kind not in PRIVATE_KINDS:
        raise NotPrivate(f"{kind} cannot be trained with noise: it can be {' or '.join(PRIVATE_KINDS)}")
    if options.adversarial:
        raise NotPrivate("adversarial training cannot be done with noise: set it to 0")
    if options.epsilon is None or options.epsilon <= 0 or not 0 < options.delta < 1 or not 0 < options.sample_rate <= 1:
        raise NotPrivate("ε must be above 0, δ between 0 and 1, the sample rate above 0 and at most 1")
    return noise_for(
        epsilon=options.epsilon, delta=options.delta, sample_rate=options.sample_rate, steps=options.private_steps
    )


def halved(model: nn.Module) -> list[nn.Parameter]:
    """Keep LoRA's A as it is and return what is left to learn: half as many numbers, half the noise.

    A learns little in a few steps while B is near 0, and noise in both is multiplied in B · A. Sun et al., "Improving LoRA
    in Privacy-preserving Federated Learning", 2024 (FFA-LoRA).
    """
    for name, parameter in model.named_parameters():
        if ".lora_A." in name:
            parameter.requires_grad_(False)
    return learning(model)


def example_gradients(
    tower: Encoder,
    parameters: Sequence[nn.Parameter],
    factors: Tensor,
    slopes: Tensor,
    batch: Batch,
    options: TrainOptions,
) -> Tensor:
    """The gradient of each example's own loss, (E, D): by the parameters of the tower, then by the head's factors.

    Call it within `per_example`. A text that two examples share is encoded twice, so that each has its gradient.
    """
    texts = [batch.texts[n] for n in batch.text_of.tolist()]
    queries = tower.forward([tower.query_text(text) for text in texts])  # (E, D)
    own = factors.detach().repeat(len(texts), 1).requires_grad_()  # (E, 2)
    scale = torch.exp(own) * slopes
    scores = scale[:, :1] * (queries @ batch.vectors.T) + scale[:, 1:] * batch.lexical  # (E, P)
    loss = example_losses(scores, batch, options).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    samples = [parameter.grad_sample.flatten(1) for parameter in parameters]  # type: ignore[attr-defined]
    for parameter in parameters:
        parameter.grad_sample = parameter.grad = None  # type: ignore[attr-defined]
    return torch.cat([*samples, own.grad], dim=1)


def example_losses(scores: Tensor, batch: Batch, options: TrainOptions) -> Tensor:
    """The loss of each list by itself, (E,): that of a batch that holds no other."""

    def alone(scores: Tensor, gains: Tensor, weights: Tensor, parent: Tensor) -> Tensor:
        loss = LOSSES[options.loss](scores[None], gains[None], weights[None])
        if options.distillation:
            there = weights > 0
            held = (torch.where(there, each, _FAR)[None] for each in (scores, parent))
            loss = loss + options.distillation * distillation(*held)
        return loss

    found: Tensor = torch.vmap(alone)(scores, batch.gains, batch.weights, batch.parent)
    return found


@contextmanager
def per_example(model: nn.Module) -> Iterator[None]:
    """Let a backward pass leave each example's gradient in `grad_sample` of the parameters that learn, by opacus' hooks."""
    moved = [module for module in model.modules() if any(p.requires_grad for p in module.parameters(recurse=False))]
    for module in moved:
        module.training = True  # what the hooks ask for; these are plain linear layers, to which it means nothing else
    model.enable_input_require_grads()  # type: ignore[operator]  # else the first layer's hook warns at each step
    hooks = GradSampleHooks(model, strict=False, loss_reduction="sum")
    try:
        yield
    finally:
        hooks.remove_hooks()
        model.disable_input_require_grads()  # type: ignore[operator]
        for module in moved:
            module.training = False


def packed(shoppers: Sequence[Sequence[Example]], most: int) -> Iterator[list[Sequence[Example]]]:
    """Yield whole shoppers, together at most so many examples, or one shopper with more."""
    together: list[Sequence[Example]] = []
    for own in shoppers:
        if together and sum(map(len, together)) + len(own) > most:
            yield together
            together = []
        together.append(own)
    if together:
        yield together


def gradients_put(moving: Sequence[Tensor], total: Tensor) -> None:
    """Make parts of one long gradient (D,) the gradients of the tensors."""
    for tensor, part in zip(moving, torch.split(total, [each.numel() for each in moving]), strict=True):
        tensor.grad = part.reshape(tensor.shape).to(tensor)
