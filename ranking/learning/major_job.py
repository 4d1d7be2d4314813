"""The training of a major version as a job: run in this process, or written down for several that `accelerate launch` starts.

    python -m accelerate.commands.launch … -m ranking.learning.major_job FOLDER

Every process reads the same job and runs the same loop; the first one writes what moved. They need no database.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import torch
from accelerate import Accelerator
from django.conf import settings
from safetensors.torch import load_file, save_file

from eventlog.errors import FreshetError
from ranking.encoders import Encoder
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import artefact_read
from ranking.learning.major_options import MajorOptions
from ranking.learning.majors import MajorTrained, Pairing, train_major
from ranking.major_towers import encoder_named

Progress = Callable[[float], None]
LAYERS = ("bottleneck", "projection")  # adapters that no weight of the transformer can take in


class MajorProcessesFailed(FreshetError):
    """The processes that train a major version ended early."""

    code = "training_failed"
    status = 500


@dataclass(frozen=True, slots=True)
class MajorJob:
    """Where both towers start, what they learn from, and how. `artefact` are the bytes of the serving version's."""

    encoder_name: str | None
    artefact: bytes
    scale: float
    pairings: Sequence[Pairing]
    options: MajorOptions
    seed: int


@dataclass(frozen=True, slots=True)
class Towers:
    """Trained towers in fp32, and the losses, one a step."""

    query: Encoder
    product: Encoder
    losses: list[float]


def job_run(job: MajorJob, *, processes: int = 1, progress: Progress = lambda share: None) -> Towers:
    """Train both towers in this process, or in several of this machine: with NCCL on its GPUs, else with gloo.

    Raises IndivisibleBatch, MajorProcessesFailed.
    """
    if processes == 1:
        query, product = towers_start(job)
        return Towers(query, product, _train(job, query, product, None, progress).losses)
    with tempfile.TemporaryDirectory(prefix="freshet-major-") as folder:
        job_write(job, Path(folder))
        _launch(Path(folder), processes, progress)
        return _result(job, Path(folder))


def towers_start(job: MajorJob, *, device: str | None = None) -> tuple[Encoder, Encoder]:
    """The towers that serve, as encoders of their own; what adds to the weights and is none of them (LAYERS) is left behind."""
    query, product = (
        encoder_named(job.encoder_name, side="query", precision="fp32", device=device),
        encoder_named(job.encoder_name, side="product", precision="fp32", device=device),
    )
    artefact = artefact_read(job.artefact)
    if artefact.tensors and artefact.adapter["kind"] not in LAYERS:
        query = tower_with_adapter(query, artefact)
    return query, product


def job_write(job: MajorJob, folder: Path) -> None:
    """Write a job where its processes find it."""
    pairings = [[each.query, each.products, each.product_ids, sorted(each.wanted)] for each in job.pairings]
    plain = {"encoder_name": job.encoder_name, "scale": job.scale, "seed": job.seed, "options": asdict(job.options)}
    (folder / "job.json").write_bytes(orjson.dumps(plain | {"pairings": pairings}))
    (folder / "parent.safetensors").write_bytes(job.artefact)


def job_read(folder: Path) -> MajorJob:
    """Read what job_write wrote."""
    plain = orjson.loads((folder / "job.json").read_bytes())
    pairings = [Pairing(query, tuple(texts), tuple(ids), frozenset(wanted))
                for query, texts, ids, wanted in plain.pop("pairings")]  # fmt: skip
    options = MajorOptions(**plain.pop("options"))
    return MajorJob(artefact=(folder / "parent.safetensors").read_bytes(), pairings=pairings, options=options, **plain)


def _train(
    job: MajorJob, query: Encoder, product: Encoder, accelerator: Accelerator | None, progress: Progress
) -> MajorTrained:
    return train_major(
        query=query, product=product, scale=job.scale, pairings=job.pairings, options=job.options, seed=job.seed,
        accelerator=accelerator, progress=progress,
    )  # fmt: skip


def _launch(folder: Path, processes: int, progress: Progress) -> None:
    # the launcher's name for "several processes on one machine"; without a GPU they talk by gloo
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={processes}", "--num_machines=1",
        "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", "-m", __name__, str(folder),
    ]  # fmt: skip
    environment = {
        **os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONPATH": os.pathsep.join([str(settings.BASE_DIR), os.environ.get("PYTHONPATH", "")]),
        "FRESHET_HOME": str(settings.FRESHET_HOME), "ARTEFACT_URL": str(settings.ARTEFACT_URL),
    }  # fmt: skip
    if not torch.cuda.is_available():
        environment["ACCELERATE_USE_CPU"] = "true"
    with (folder / "errors").open("w+") as errors:
        launched = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        try:
            assert launched.stdout is not None
            for line in launched.stdout:
                if line.startswith("progress "):
                    progress(float(line.split()[1]))
            if launched.wait():
                raise MajorProcessesFailed((folder / "errors").read_text()[-2000:])
        finally:
            if launched.poll() is None:
                launched.terminate()
                launched.wait()


def _result(job: MajorJob, folder: Path) -> Towers:
    query, product = towers_start(job)
    moved = load_file(folder / "trained.safetensors")
    with torch.no_grad():
        for side, tower in (("query", query), ("product", product)):
            for name, parameter in tower.model.named_parameters():
                if (key := f"{side}.{name}") in moved:
                    parameter.copy_(moved[key])
    return Towers(query, product, orjson.loads((folder / "losses.json").read_bytes()))


def _process(folder: Path) -> None:
    """What each of several processes does."""
    accelerator = Accelerator()
    job, first = job_read(folder), accelerator.is_main_process
    query, product = towers_start(job, device=str(accelerator.device))

    def told(share: float) -> None:
        if first:
            print(f"progress {share:.4f}", flush=True)

    trained = _train(job, query, product, accelerator, told)
    if first:
        sides = {"query": trained.query, "product": trained.product}
        save_file({f"{side}.{name}": tensor.contiguous() for side, moved in sides.items() for name, tensor in moved.items()},
                  folder / "trained.safetensors")  # fmt: skip
        (folder / "losses.json").write_bytes(orjson.dumps(trained.losses))
    accelerator.end_training()


if __name__ == "__main__":
    _process(Path(sys.argv[1]))
