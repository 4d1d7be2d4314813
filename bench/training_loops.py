"""One loop of bench/training.py, in a process of its own: its speed after a warm-up, its losses and its peak memory.

python -m bench.training_loops NAME '{"products": ..., "batch": ..., ...}'
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import django
import numpy as np
import orjson
import torch

if TYPE_CHECKING:
    from ranking.learning.options import AdapterKind

ALL = 10.0**9  # passes: steps end a loop


@dataclass(slots=True)
class Steps:
    """When steps ended; those of the warm-up, and what came before them, do not count."""

    warm_up: int
    batch: int
    ends: list[float] = field(default_factory=list)

    def end(self, share: float = 0.0) -> None:
        self.ends.append(time.perf_counter())

    def examples_per_second(self) -> float:
        timed = self.ends[self.warm_up - 1 :]
        return self.batch * (len(timed) - 1) / (timed[-1] - timed[0])


def main() -> None:
    """Run the loop named and print what it took as one JSON line."""
    loop, given = sys.argv[1], SimpleNamespace(**orjson.loads(sys.argv[2]))
    django.setup()
    torch.set_num_threads(given.threads)
    steps = Steps(given.warm_up, given.batch)
    losses = RUN[loop](loop, given, steps)
    tenth = max(1, len(losses) // 10)
    print(orjson.dumps({
        "examples_per_second": steps.examples_per_second(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loss_first": float(np.mean(losses[:tenth])), "loss_last": float(np.mean(losses[-tenth:])),
    }).decode())  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """The pairs whose product is known, and the products of the pairs."""

    pairs: list[tuple[str, str]]
    products: dict[str, dict[str, Any]]

    def wanted(self) -> dict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for query, product_id in self.pairs:
            found[query].add(product_id)
        return found


def _given(given: Any) -> Given:
    from bench.training_data import pairs_read, products_read

    products = products_read(Path(given.products), map_name=given.map)
    judgments, clicks = (Path(path) if path else None for path in (given.judgments, given.clicks))
    pairs = pairs_read(judgments=judgments, clicks=clicks, seed=given.seed)
    known = [pair for pair in pairs if pair[1] in products][: given.batch * (given.steps + given.warm_up)]
    named = sorted({product_id for _, product_id in known})
    return Given(known, {product_id: products[product_id] for product_id in named})


def _encoder(given: Any) -> Any:
    from django.conf import settings

    from ranking.encoders import encoder_load

    return encoder_load(given.encoder, home=settings.FRESHET_HOME)


def _precision(loop: str, given: Any) -> Any:
    return "fp32" if loop.endswith("_fp32") else given.precision


def peer(loop: str, given: Any, steps: Steps) -> list[float]:
    """sentence-transformers' trainer with in-batch negatives, as its documentation has it."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    from bench.online_nightly import peer_model
    from ranking.encoders import product_text

    class Watch(TrainerCallback):
        def on_step_end(self, *args: Any, **more: Any) -> None:
            steps.end()

    data, encoder = _given(given), _encoder(given)
    texts = {each: encoder.product_text(product_text(product)) for each, product in data.products.items()}
    model = peer_model(encoder)
    if loop == "peer_tuned":
        body: Any = model[0].auto_model
        body.set_attn_implementation("eager")
        body.get_input_embeddings().weight.requires_grad_(False)
    count = given.batch * (given.steps + given.warm_up)
    pairs = (data.pairs * (count // len(data.pairs) + 1))[:count]
    rows = {"anchor": [encoder.query_text(query) for query, _ in pairs], "positive": [texts[each] for _, each in pairs]}
    del encoder
    with tempfile.TemporaryDirectory() as folder:
        options = SentenceTransformerTrainingArguments(
            output_dir=folder, num_train_epochs=1, per_device_train_batch_size=given.batch, save_strategy="no",
            report_to="none", disable_tqdm=True, seed=given.seed, logging_strategy="steps", logging_steps=1,
            bf16=_precision(loop, given) == "bf16", use_cpu=not torch.cuda.is_available(),
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model=model, args=options, train_dataset=Dataset.from_dict(rows), callbacks=[Watch()],
            loss=MultipleNegativesRankingLoss(model),
        )  # fmt: skip
        trainer.train()
    return [each["loss"] for each in trainer.state.log_history if "loss" in each]


def full(loop: str, given: Any, steps: Steps) -> list[float]:
    """Our fine-tuning of both towers, a product a query as the peer has it."""
    from ranking.encoders import product_text
    from ranking.learning.major_options import MAJOR
    from ranking.learning.majors import Pairing, train_major
    from ranking.relevance import head_default

    data, query, product = _given(given), _encoder(given), _encoder(given)
    wanted = data.wanted()
    pairings = [
        Pairing(text, (product_text(data.products[each]),), (each,), frozenset(wanted[text]))
        for text, each in data.pairs
    ]
    options = replace(
        MAJOR, batch=given.batch, at_once=16 if loop == "full_chunked" else 2 * given.batch, epochs=ALL,
        most_steps=given.steps + given.warm_up, threads=given.threads, precision=_precision(loop, given),
    )  # fmt: skip
    return train_major(
        query=query, product=product, scale=head_default(query.name).dense, pairings=pairings, options=options,
        seed=given.seed, progress=steps.end,
    ).losses  # fmt: skip


def minor(loop: str, given: Any, steps: Steps) -> list[float]:
    """A minor version of a kind, with that kind's own options and all that it is trained with besides."""
    from bench.training_data import catalogue_make
    from feedback.contexts import query_context
    from feedback.joining import ClickThrough
    from ranking.learning.artefact import Artefact
    from ranking.learning.evaluate import remember
    from ranking.learning.examples import clicked_rows, examples_read
    from ranking.learning.options import options_of_kind
    from ranking.learning.projection import frozen_in_training
    from ranking.learning.train import train
    from ranking.relevance import head_default

    data, encoder = _given(given), _encoder(given)
    at = datetime.now(UTC)
    closed = [
        ClickThrough(n, n, "query", context.key, query, [each], None, None, {each: ["click"]}, at, True, False)
        for n, (query, each) in enumerate(data.pairs)
        if (context := query_context(query))
    ]
    options = replace(
        options_of_kind(KIND_OF[loop]), batch=given.batch, epochs=ALL,
        most_steps=given.steps + given.warm_up, threads=given.threads, precision=given.precision,
    )  # fmt: skip
    catalogue, parent = (
        catalogue_make(encoder, data.products, list(data.products)),
        Artefact(head_default(encoder.name)),
    )
    frozen = frozen_in_training(encoder, parent, options)
    clicked_for, before = clicked_rows(closed, catalogue), remember(frozen.encode_query)
    examples = examples_read(closed, catalogue=catalogue, encode=before, options=options, clicked_for=clicked_for)

    def ended(share: float) -> None:
        steps.end(share)
        if loop == "projection_new":
            vectors_forget()

    return train(
        frozen=frozen, parent=parent, catalogue=catalogue, clicked_for=clicked_for, examples=examples,
        options=options, seed=given.seed, before=before, progress=ended,
    ).losses  # fmt: skip


def vectors_forget() -> None:
    """Let the next step of a projection encode all its queries, as if each were asked for the first time."""
    from ranking.learning import projection

    projection.vectors_forget()


Loop = Callable[[str, Any, Steps], list[float]]
KIND_OF: Mapping[str, AdapterKind] = {
    "projection": "projection", "projection_new": "projection",
    "lora": "lora", "adalora": "adalora", "bottleneck": "bottleneck", "query_full": "full",
}  # fmt: skip
RUN: Mapping[str, Loop] = {
    "peer": peer, "peer_tuned": peer, "peer_fp32": peer, "full": full, "full_chunked": full, "full_fp32": full,
    **dict.fromkeys(KIND_OF, minor),
}  # fmt: skip

if __name__ == "__main__":
    main()
