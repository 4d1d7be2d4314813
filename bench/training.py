"""How fast we train: examples/s and peak memory of our loops and of sentence-transformers' trainer, on the same pairs.

    python -m bench.training [--products P] [--judgments J | --clicks C] [--encoder e5] [--steps 20] [--json]

Pairs of a query and a product that was wanted for it: from judgements (rating >= 2), or from a click log. Each loop runs in
a process of its own, with the same encoder, pairs, batch, length, precision and threads; loops take turns, and medians count.
What a loop does before its first step, and its first --warm-up steps, are not timed.
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
    "full": "full: both towers (a major version)",
    "full_chunked": "full, 16 texts in memory at once",
    "query_full": "full, query tower (minor)",
    "lora": "LoRA, query tower (minor)",
    "adalora": "AdaLoRA, query tower (minor)",
    "bottleneck": "bottleneck adapter, query tower (minor)",
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
    finish(arguments, results, [_table(results, arguments)])


def _arguments() -> argparse.Namespace:
    made = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(made)
    made.add_argument("--clicks", type=Path, metavar="FILE", help="a click log (query, sku) in place of judgements")
    made.add_argument("--encoder", default="e5", help="as FRESHET_ENCODER (e5)")
    made.add_argument("--precision", choices=["fp32", "bf16"], default="bf16", help="of all loops (bf16)")
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

    return {
        "loops": loops,
        "full_to_peer": ratio("full", "peer"),
        "full_to_peer_tuned": ratio("full", "peer_tuned"),
        "chunked_to_peer": ratio("full_chunked", "peer"),
        "lora_to_full": ratio("lora", "full"),
    }


def _table(results: dict[str, Any], arguments: argparse.Namespace) -> Table:
    loops = results["loops"]
    against = loops.get("peer", {}).get("examples_per_second")
    rows = [
        [LOOPS[loop], each["examples_per_second"], each["examples_per_second"] / against if against else None,
         min(each["rounds"]), max(each["rounds"]), each["peak_mb"], each["loss_first"], each["loss_last"]]
        for loop, each in loops.items()
    ]  # fmt: skip
    title = (
        f"{arguments.encoder}, {arguments.precision}, batches of {arguments.batch} pairs, {arguments.threads} threads: medians of "
        f"{arguments.rounds} rounds of {arguments.steps} steps; full to peer {_times(results['full_to_peer'])}, LoRA to full "
        f"{_times(results['lora_to_full'])}\n(*) frozen word embeddings, attention written out"
    )
    columns = ["loop", "examples/s", "to the peer", "slowest", "fastest", "peak MB", "loss at first", "at last"]
    return table(title, columns, rows)


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f} times"


if __name__ == "__main__":
    main()
