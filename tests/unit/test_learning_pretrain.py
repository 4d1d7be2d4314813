"""Masked-language pre-training: what is hidden, what is asked for, that guesses get better, the same bytes again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

from ranking.encoders import Encoder, encoder_load
from ranking.learning.artefact import Artefact, artefact_write
from ranking.learning.options import TrainOptions
from ranking.learning.pretrain import OwnHead, PretrainOptions, TiedHead, _head, mask, pretrain
from ranking.relevance import head_default
from tests.tiny_encoder import WORDS, tiny_encoder_write

TEXTS = [f"{colour} {thing} {colour} {thing}" for colour in WORDS[:3] for thing in WORDS[7:]]
QUICK = PretrainOptions(steps=60, batch=8, learning_rate=0.02, head_learning_rate=0.01, masked=0.4)
NOT_ASKED = -100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return encoder_load(tiny_encoder_write(folder), home=folder)


def start() -> Artefact:
    return Artefact(head_default("tiny"))


def learn(encoder: Encoder, texts: list[str] = TEXTS) -> tuple[Artefact, list[float]]:
    done = pretrain(frozen=encoder, parent=start(), texts=texts, options=TrainOptions(), language=QUICK, seed=3)
    return done.artefact, done.losses


def test_masked_words_are_guessed_better_and_better(encoder: Encoder) -> None:
    artefact, losses = learn(encoder)

    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert artefact.tensors
    assert artefact.head == start().head


def test_the_same_texts_and_seed_give_the_same_bytes(encoder: Encoder) -> None:
    assert artefact_write(learn(encoder)[0]) == artefact_write(learn(encoder)[0])


def test_without_a_text_nothing_is_learned(encoder: Encoder) -> None:
    artefact, losses = learn(encoder, [])

    assert (artefact.tensors, losses) == ({}, [])


def test_a_share_of_the_words_is_asked_for_and_none_of_the_special_tokens(encoder: Encoder) -> None:
    ids = encoder.tokenize(["red mug blue lamp green chair"] * 400)["input_ids"]
    known = torch.unique(ids)
    torch.manual_seed(1)

    seen, asked = mask(ids, encoder.tokenizer, known, share=0.15)

    at = asked != NOT_ASKED
    assert not at[:, [0, -1]].any()
    assert at[:, 1:-1].float().mean() == pytest.approx(0.15, abs=0.02)
    assert torch.equal(asked[at], ids[at])
    assert torch.equal(seen[~at], ids[~at])
    assert (seen[at] == encoder.tokenizer.mask_token_id).float().mean() == pytest.approx(0.8, abs=0.06)


def test_a_tied_head_prefers_the_token_whose_embedding_it_is_given() -> None:
    words = torch.eye(5)

    assert torch.equal(TiedHead(words)(words).argmax(dim=1), torch.arange(5))


def test_the_head_of_the_checkpoint_is_used_where_it_has_one(encoder: Encoder, tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=19, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    (tmp_path / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizer(vocab=str(tmp_path / "words.txt"), model_max_length=32).save_pretrained(tmp_path)
    model = BertForMaskedLM(config)
    model.save_pretrained(tmp_path)
    hidden, known = torch.randn(4, 32), torch.tensor([5, 7, 9])

    head = _head(encoder_load(str(tmp_path), home=tmp_path), known)

    assert isinstance(head, OwnHead)
    assert torch.allclose(head(hidden), model.cls(hidden)[:, known], atol=1e-6)
    assert isinstance(_head(encoder, known), TiedHead)
