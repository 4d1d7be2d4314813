"""How fast we train: examples/s and peak memory of our loops and of sentence-transformers' trainer, on the same pairs.

    python -m bench.training [--products P] [--judgments J | --clicks C] [--encoder e5] [--steps 20] [--json]

Pairs of a query and a product that was wanted for it: from judgements (rating >= 2), or from a click log. Each loop runs in
a process of its own, with the same encoder, pairs, batch, length and threads, and in the same precision but for those called
fp32; loops take turns, and medians count. Full fine-tuning of both towers is what the peer does; a minor version of each
kind, with that kind's own options, does what a shop needs in its place. What a loop does before its first step, and its
first --warm-up steps, are not timed: a projection has its queries' vectors by then, or makes them in every step ("new").
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/training.py` works as well

from bench.harness import PROJECT, finish, parser, required, table
from bench.shop import map_option

LOOPS = {
    "peer": "sentence-transformers: one tower for both",
    "peer_tuned": "the same with our savings (*)",
    "peer_fp32": "sentence-transformers, fp32",
    "full": "full: both towers (a major version)",
    "full_chunked": "full, 16 texts in memory at once",
    "full_fp32": "full, fp32",
    "projection": "projection (minor, the default)",
    "projection_new": "projection, every query new (**)",
    "lora": "LoRA, query tower (minor)",
    "adalora": "AdaLoRA, query tower (minor)",
    "bottleneck": "bottleneck adapter, query tower (minor)",
    "query_full": "full, query tower (minor)",
}
RATIOS = {
    "full_to_peer": ("full", "peer"),
    "full_to_peer_tuned": ("full", "peer_tuned"),
    "full_fp32_to_peer_fp32": ("full_fp32", "peer_fp32"),
    "chunked_to_peer": ("full_chunked", "peer"),
    "projection_to_peer": ("projection", "peer"),
    "projection_new_to_peer": ("projection_new", "peer"),
    "lora_to_peer": ("lora", "peer"),
    "adalora_to_peer": ("adalora", "peer"),
    "bottleneck_to_peer": ("bottleneck", "peer"),
    "query_full_to_peer": ("query_full", "peer"),
    "lora_to_full": ("lora", "full"),
}
SECONDS = 3600.0  # no loop takes so long


def main() -> None:
    """Run the rounds and print the table."""
    arguments = _arguments()
    required(arguments, "products")
    rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tqdm(total=arguments.rounds * len(arguments.loops), desc="loops", file=sys.stderr) as bar:
        for _ in range(arguments.rounds):
            for loop in arguments.loops:
                bar.set_postfix_str(loop)
                rounds[loop].append(_run(loop, arguments))
                bar.update()
    results = summary(rounds) | {"batch": arguments.batch, "steps": arguments.steps, "threads": arguments.threads}
    finish(arguments, results, _tables(results, arguments))


def _arguments() -> argparse.Namespace:
    made = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(made)
    made.add_argument("--clicks", type=Path, metavar="FILE", help="a click log (query, sku) in place of judgements")
    made.add_argument("--encoder", default="e5", help="as FRESHET_ENCODER (e5)")
    made.add_argument(
        "--precision", choices=["fp32", "bf16"], default="bf16", help="of loops not named for theirs (bf16)"
    )
    made.add_argument("--batch", type=int, default=32, metavar="N", help="pairs a step (32)")
    made.add_argument("--steps", type=int, default=20, metavar="N", help="timed steps of a loop in a round (20)")
    made.add_argument("--warm-up", type=int, default=3, metavar="N", help="steps before them (3)")
    made.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each loop takes its turn (3)")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="of torch (all cores)")
    made.add_argument("--loops", nargs="+", choices=list(LOOPS), default=list(LOOPS), help="which of them (all)")
    made.add_argument("--seed", type=int, default=1)
    return made.parse_args()


def _run(loop: str, arguments: argparse.Namespace) -> dict[str, float]:
    """One loop in a process of its own, whose peak memory is then the loop's."""
    given = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
    # what is read into the memory of this process would count as the child's: so torch is not imported here
    done = subprocess.run(
        [sys.executable, "-m", "bench.training_loops", loop, orjson.dumps(given).decode()],
        cwd=PROJECT, stdout=subprocess.PIPE, timeout=SECONDS, check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "FRESHET_LOG_LEVEL": "WARNING"},
    )  # fmt: skip
    found: dict[str, float] = orjson.loads(done.stdout.splitlines()[-1])
    return found


def summary(rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians of each loop, and of the ratios of loops of one round (pure); a ratio is None where a loop was left out."""
    loops = {
        loop: {name: median(each[name] for each in found) for name in found[0]}
        | {"rounds": [each["examples_per_second"] for each in found]}
        for loop, found in rounds.items()
    }

    def ratio(one: str, other: str) -> float | None:
        pairs = zip(rounds.get(one, []), rounds.get(other, []), strict=False)
        ratios = [mine["examples_per_second"] / theirs["examples_per_second"] for mine, theirs in pairs]
        return median(ratios) if ratios else None

    return {"loops": loops} | {name: ratio(one, other) for name, (one, other) in RATIOS.items()}


def _tables(results: dict[str, Any], arguments: argparse.Namespace) -> list[Table]:
    loops = results["loops"]
    rows = [
        [LOOPS[loop], each["examples_per_second"], min(each["rounds"]), max(each["rounds"]), each["peak_mb"],
         each["loss_first"], each["loss_last"]]
        for loop, each in loops.items()
    ]  # fmt: skip
    title = (
        f"{arguments.encoder}, {arguments.precision}, batches of {arguments.batch} pairs, {arguments.threads} threads: medians of "
        f"{arguments.rounds} rounds of {arguments.steps} steps\n(*) frozen word embeddings, attention written out\n"
        "(**) nothing is remembered: each step encodes its queries, one at a time"
    )
    columns = ["loop", "examples/s", "slowest", "fastest", "peak MB", "loss at first", "at last"]
    return [table(title, columns, rows), _ratios(results)]


def _ratios(results: dict[str, Any]) -> Table:
    loops = results["loops"]
    rows = [
        [name.replace("_", " "), results[name], loops[one]["peak_mb"], loops[other]["peak_mb"]]
        for name, (one, other) in RATIOS.items()
        if results[name] is not None
    ]
    columns = ["", "times its examples/s", "peak MB", "peak MB of the other"]
    return table("Medians of the ratios within a round", columns, rows)


if __name__ == "__main__":
    main()
