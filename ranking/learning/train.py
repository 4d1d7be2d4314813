"""The training loop of a minor version, to be read top to bottom. Same examples, parent, options and seed: same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor

from ranking.encoders import Encoder
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import Artefact
from ranking.learning.average import Average
from ranking.learning.batches import Batch, batches_of, collate
from ranking.learning.calibrate import Encode
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.evaluate import remember
from ranking.learning.examples import Example
from ranking.learning.gradients import backward
from ranking.learning.kinds import adapter_attach
from ranking.learning.losses import LOSSES, distillation, together
from ranking.learning.options import TrainOptions
from ranking.learning.stopping import Best, Judge, stop_points

Watch = Callable[[int, Mapping[str, float]], None]


def unwatched(step: int, figures: Mapping[str, float]) -> None:
    """What nobody looks at."""


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter with a head whose slopes moved with it and whose intercepts did not yet; `losses` is one per step.

    `worths` is what the judge said at each stop point, by step.
    `privacy` says how a private version was kept so.
    """

    artefact: Artefact
    losses: list[float]
    worths: dict[int, float] = field(default_factory=dict)
    privacy: dict[str, Any] = field(default_factory=dict)


def train(
    *,
    frozen: Encoder,
    parent: Artefact,
    catalogue: CatalogueAt,
    examples: Sequence[Example],
    clicked_for: dict[str, set[int]],
    options: TrainOptions,
    seed: int,
    before: Encode | None = None,
    judge: Judge | None = None,
    progress: Callable[[float], None] = lambda share: None,
    watch: Watch = unwatched,
) -> Trained:
    """Fine-tune the query tower's adapter and the head's slopes from the parent's; product vectors stay as they are.

    `before` encodes queries by the parent's tower, where the caller remembers them already. `judge` says what a version
    is worth at the stop points, if there are any: at the first that is worth no more than one before, the best is taken.
    `watch` is told each step's number, from 1, its loss, learning rate and gradient norm before clipping.
    """
    teaching = [example for example in examples if example.teaches]
    steps = steps_of(len(teaching), options)
    if not steps:
        return Trained(parent, [])
    before = before or remember((tower_with_adapter(frozen, parent) if parent.tensors else frozen).encode_query)
    with torch_as(threads=options.threads, seed=seed):
        adapter = adapter_attach(frozen, parent, options, steps=steps)
        tower = adapter.tower
        slopes = torch.tensor([parent.head.dense, parent.head.lexical], device=tower.device)
        factors = torch.zeros(2, device=tower.device, requires_grad=True)  # logarithms: a slope never turns negative
        decay = options.weight_decay if adapter.decays else 0.0
        optimiser = torch.optim.AdamW(
            [
                {
                    "params": adapter.parameters,
                    "lr": adapter.learning_rate or options.learning_rate,
                    "weight_decay": decay,
                },
                {"params": [factors], "lr": options.head_learning_rate, "weight_decay": 0.0},
            ],
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps, options))
        average = Average([*adapter.parameters, factors], options.ema)
        losses, best = list[float](), Best()
        points = stop_points(steps, options.stop_points) if judge else set()

        def made() -> Artefact:
            tensors, how = adapter.read()
            dense, lexical = (slopes * torch.exp(factors.detach())).tolist()
            return Artefact(replace(parent.head, dense=dense, lexical=lexical), tensors, how)

        for step, drawn in enumerate(batches_of(teaching, steps, options, seed), start=1):
            batch = collate(drawn, catalogue, clicked_for, options, tower.device, parent=parent.head, before=before)

            def loss_of(queries: Tensor, batch: Batch = batch) -> Tensor:
                dense = queries[batch.text_of] @ batch.vectors.T  # (B, P)
                scores = torch.exp(factors[0]) * slopes[0] * dense + torch.exp(factors[1]) * slopes[1] * batch.lexical
                loss = LOSSES[options.loss](*together(scores, batch.gains, batch.weights))
                if options.distillation:
                    loss = loss + options.distillation * distillation(scores, batch.parent)
                return loss

            add_gradients = partial(
                backward, tower, batch.texts, loss_of, at_once=options.batch, precision=options.precision
            )
            loss, worst = add_gradients(epsilon=options.adversarial)
            if worst:  # the gradients of both add up
                add_gradients(moves=worst)
            adapter.regularise()
            norm = torch.nn.utils.clip_grad_norm_([*adapter.parameters, factors], options.clip)
            pace = optimiser.param_groups[0]["lr"]
            optimiser.step()
            adapter.allocate(step)
            optimiser.zero_grad(set_to_none=True)
            schedule.step()
            average.update()
            losses.append(loss)
            watch(step, {"loss": loss, "learning_rate": pace, "gradient_norm": float(norm)})
            progress(step / steps)
            if judge and step in points:
                with average.settled():
                    reached = made()
                if not best.offer(step, reached, judge(reached)):
                    break
        if best.artefact is None:
            average.settle()
        return Trained(best.artefact or made(), losses, best.worths)


def steps_of(count: int, options: TrainOptions) -> int:
    """Steps for so many examples: a function of the range, never of the clock."""
    return min(options.most_steps, ceil(options.epochs * count / (options.batch * options.accumulate)))


def rate(step: int, steps: int, options: TrainOptions) -> float:
    """Share of the learning rate at a step: up over the warm-up, then down in a line."""
    rising = max(1, round(options.warm_up * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising + 1))


@contextmanager
def torch_as(*, threads: int, seed: int) -> Iterator[None]:
    """Run torch on so many threads from a seed, and leave it as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
