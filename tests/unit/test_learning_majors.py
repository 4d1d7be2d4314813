"""Both towers learn; two processes learn what one does; towers come back from their file, or say why not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranking.artefacts import ArtefactDamaged, ArtefactMissing, towers_load, towers_store, towers_stored
from ranking.encoders import Encoder, encoder_load
from ranking.learning.major_options import MAJOR
from ranking.learning.majors import IndivisibleBatch, MajorTrained, Pairing, train_major
from ranking.major_towers import encoder_named, towers_name, towers_write
from tests.tiny_encoder import WORDS, tiny_encoder_write

QUICK = replace(MAJOR, learning_rate=1e-3, batch=8, at_once=3, epochs=20, most_steps=30, precision="fp32")
TURN = {"small": "green", "large": "red"}


def pairings() -> list[Pairing]:
    """To these shoppers a size is a colour, which no description says."""
    found = []
    for size, colour in TURN.items():
        for thing in WORDS[7:]:
            titles = (f"{colour} {thing}", f"blue {thing}")
            found.append(Pairing(f"{size} {thing}", titles, titles, frozenset(titles[:1])))
    return found


def learn(folder: Path, **options: Any) -> tuple[Encoder, Encoder, MajorTrained]:
    query, product = (encoder_load(str(folder), home=folder, device="cpu") for _ in range(2))
    trained = train_major(
        query=query, product=product, scale=20.0, pairings=pairings(), options=replace(QUICK, **options), seed=3
    )
    return query, product, trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_encoder_write(tmp_path_factory.mktemp("tiny")))


def test_both_towers_move_and_the_product_wanted_comes_nearest(folder: Path) -> None:
    query, product, trained = learn(folder)
    before = encoder_load(str(folder), home=folder, device="cpu")
    assert np.mean(trained.losses[-5:]) < 0.3 * np.mean(trained.losses[:3])
    for tower in (query, product):
        assert not np.allclose(tower.encode_query("small mug"), before.encode_query("small mug"), atol=1e-3)
    titles = [f"{colour} mug" for colour in ("red", "blue", "green")]
    near = product.encode_products(titles) @ query.encode_query("small mug")
    assert titles[int(np.argmax(near))] == "green mug"
    words = [name for name in trained.query if "word_embeddings" in name]
    assert words == []  # they stay unless `words` is chosen


def test_gradients_do_not_depend_on_how_many_texts_are_in_memory(folder: Path) -> None:
    _, _, few = learn(folder, at_once=3, most_steps=4)
    _, _, all_ = learn(folder, at_once=100, most_steps=4)
    assert few.losses == pytest.approx(all_.losses, abs=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("at_once", [3, 100])
def test_the_same_pairings_make_the_same_weights(folder: Path, precision: str, at_once: int) -> None:
    _, _, one = learn(folder, most_steps=4, precision=precision, at_once=at_once)
    _, _, two = learn(folder, most_steps=4, precision=precision, at_once=at_once)
    assert all(torch.equal(one.product[name], two.product[name]) for name in one.product)


def test_bf16_computes_other_gradients_nearly_alike_and_keeps_weights_in_fp32(folder: Path) -> None:
    _, _, exact = learn(folder, most_steps=4)
    _, _, rounded = learn(folder, most_steps=4, precision="bf16")
    assert rounded.losses != exact.losses
    assert rounded.losses == pytest.approx(exact.losses, abs=0.05)
    assert {tensor.dtype for tensor in rounded.query.values()} == {torch.float32}


_SCRIPT = """
import sys
from pathlib import Path
import torch
from accelerate import Accelerator
from tests.unit.test_learning_majors import learn
processes = Accelerator(cpu=True)
assert processes.num_processes == 2, processes.num_processes
assert torch.distributed.get_backend() == "gloo"
_, _, trained = learn(Path(sys.argv[1]), most_steps=6)
if processes.is_main_process:
    torch.save((trained.losses, trained.query, trained.product), sys.argv[2])
"""


def test_two_processes_learn_what_one_does(folder: Path, tmp_path: Path) -> None:
    _, _, one = learn(folder, most_steps=6)
    script, result = tmp_path / "two.py", tmp_path / "two.pt"
    script.write_text(_SCRIPT)
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1",
         "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", str(script), str(folder), str(result)],
        check=True, cwd=root, timeout=300,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path),
             "DJANGO_SETTINGS_MODULE": "tests.settings", "ACCELERATE_USE_CPU": "true"},
    )  # fmt: skip
    losses, query, product = torch.load(result)
    assert losses == pytest.approx(one.losses, abs=1e-4)
    # a softmax does not feel the bias of its keys: that gradient is rounding alone, which Adam makes steps of
    felt = [name for name in one.query if not name.endswith("key.bias")]
    assert len(felt) == len(one.query) - 2
    for mine, theirs in ((one.query, query), (one.product, product)):
        assert max(float((mine[name] - theirs[name]).abs().max()) for name in felt) < 1e-5


def test_a_batch_that_cannot_be_shared_is_refused(folder: Path) -> None:
    class Three:
        num_processes = 3

    query = encoder_load(str(folder), home=folder, device="cpu")
    with pytest.raises(IndivisibleBatch, match="3 processes"):
        train_major(
            query=query,
            product=query,
            scale=1.0,
            pairings=pairings(),
            options=QUICK,
            seed=1,
            accelerator=Three(),  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("url", ["folder", "memory://towers"])
def test_towers_come_back_from_their_file(folder: Path, tmp_path: Path, settings: Any, url: str) -> None:
    settings.ARTEFACT_URL = str(tmp_path / "towers") if url == "folder" else url
    query, product, trained = learn(folder, most_steps=4)
    content = towers_write(query=trained.query, product=trained.product, base=query, base_name=str(folder))
    digest = towers_store(content)
    assert towers_store(content) == digest
    assert list(towers_stored()) == [(digest, len(content))]
    again = encoder_named(towers_name(digest), side="query", precision="fp32")
    assert np.array_equal(again.encode_query("small mug"), query.encode_query("small mug"))
    assert again.fingerprint == digest != encoder_load(str(folder), home=folder).fingerprint
    other = encoder_named(towers_name(digest), side="product", precision="fp32")
    assert np.allclose(other.encode_products(["red mug"]), product.encode_products(["red mug"]), atol=1e-6)


def test_missing_and_damaged_towers_are_named(tmp_path: Path, settings: Any) -> None:
    settings.ARTEFACT_URL = tmp_path.as_uri()
    digest = towers_store(b"towers")
    assert towers_load(digest) == b"towers"
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"tower")
    with pytest.raises(ArtefactDamaged, match=digest[:12]):
        towers_load(digest)
    file.unlink()
    with pytest.raises(ArtefactMissing, match="ARTEFACT_URL"):
        towers_load(digest)
