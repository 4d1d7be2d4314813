"""Masked-language pre-training of the query tower's adapter on the shop's own descriptions, before anybody said anything.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", 2019; on the texts of a
domain: Gururangan et al., "Don't Stop Pretraining: Adapt Language Models to Domains and Tasks", 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import orjson
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerBase

from ranking.encoders import Encoder, product_text, transformers_quiet
from ranking.learning.artefact import Artefact
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.computing import computing
from ranking.learning.kinds import adapter_attach
from ranking.learning.options import TrainOptions
from ranking.learning.train import rate, torch_as

_NOT_ASKED = -100
_HEADS = ("cls", "lm_head")  # as the families of encoders call what turns hidden states into words


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainOptions:
    """How long and how hard; what moves and what it runs on is said by TrainOptions."""

    steps: int = 100
    """A budget, not a number of passes: a large catalogue must not take hours before the first search."""
    batch: int = 16
    """Texts a step."""
    words: int = 12
    """Of each text: the title, which is about as long as a query gets; time grows with the length."""
    learning_rate: float = 1e-4
    """Of the adapter, a fifth of what judgements get: nothing here says what a shopper wants."""
    head_learning_rate: float = 1e-3
    """Of the head, which starts as no change of the hidden state and is thrown away."""
    masked: float = 0.15
    """Share of the tokens that are asked for (Devlin et al.)."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The parent with an adapter that knows the shop's language; `losses` is one per step."""

    artefact: Artefact
    losses: list[float]


def pretrain(
    *,
    frozen: Encoder,
    parent: Artefact,
    texts: Sequence[str],
    options: TrainOptions,
    language: PretrainOptions,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Pretrained:
    """Let the query tower guess masked tokens of the shop's texts, from the parent's adapter on. Same seed: same bytes."""
    if not texts:
        return Pretrained(parent, [])
    with torch_as(threads=options.threads, seed=seed):
        adapter = adapter_attach(frozen, parent, options, steps=language.steps)
        tower = adapter.tower
        known = _known_tokens(tower, texts)  # (V,)
        head = _head(tower, known)
        turning = [parameter for parameter in head.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(
            [
                {"params": adapter.parameters, "lr": language.learning_rate},
                {"params": turning, "lr": language.head_learning_rate},
            ],
            weight_decay=options.weight_decay if adapter.decays else 0.0,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, language.steps, options))
        order = torch.randperm(len(texts)).tolist()
        losses: list[float] = []
        for step in range(language.steps):
            drawn = [texts[order[(step * language.batch + n) % len(order)]] for n in range(language.batch)]
            batch = tower.tokenize(drawn)
            ids, asked = mask(batch["input_ids"], tower.tokenizer, known, share=language.masked)  # (B, T), (B, T)
            with computing(tower.device, options.precision):
                hidden = tower.model(**(batch | {"input_ids": ids})).last_hidden_state.float()  # (B, T, H)
            at = asked != _NOT_ASKED
            if not at.any():
                continue  # a batch of very short texts
            loss = functional.cross_entropy(head(hidden[at]), torch.searchsorted(known, asked[at]))
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*adapter.parameters, *turning], options.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            schedule.step()
            losses.append(float(loss.detach()))
            progress((step + 1) / language.steps)
        tensors, how = adapter.read()
    return Pretrained(Artefact(parent.head, tensors, how), losses)


def texts_of(catalogue: CatalogueAt, tower: Encoder, *, words: int) -> list[str]:
    """What the query tower is given of each product: the start of its text, in the form of a query."""
    said = (product_text(orjson.loads(content)).split() for content in catalogue.contents)
    return [tower.query_text(" ".join(parts[:words])) for parts in said]


def mask(ids: Tensor, tokenizer: PreTrainedTokenizerBase, known: Tensor, *, share: float) -> tuple[Tensor, Tensor]:
    """Hide a share of the tokens; return what the tower sees and what it is asked for, -100 where nothing, (B, T) each.

    Of those asked for 8 in 10 are masked, 1 in 10 is another token of the shop's, 1 in 10 stays (Devlin et al.).
    """
    special = torch.tensor(tokenizer.all_special_ids, device=ids.device)
    asked = (torch.rand(ids.shape, device=ids.device) < share) & ~torch.isin(ids, special)
    how = torch.rand(ids.shape, device=ids.device)
    others = known[torch.randint(len(known), ids.shape, device=ids.device)]
    seen = torch.where(asked & (how < 0.8), torch.full_like(ids, int(tokenizer.mask_token_id)), ids)
    seen = torch.where(asked & (how >= 0.9), others, seen)
    return seen, torch.where(asked, ids, torch.full_like(ids, _NOT_ASKED))


class TiedHead(nn.Module):
    """A turn of the hidden state, then its likeness to the word embedding of each token: logits (N, V) of (N, H)."""

    def __init__(self, words: Tensor) -> None:
        super().__init__()
        self.words = nn.Buffer(words)  # (V, H)
        self.turn = nn.Linear(words.shape[1], words.shape[1], device=words.device)
        nn.init.eye_(self.turn.weight)
        nn.init.zeros_(self.turn.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.linear(self.turn(hidden), self.words)


class OwnHead(nn.Module):
    """The checkpoint's own head, of which only the shop's tokens are read; it does not learn."""

    def __init__(self, head: nn.Module, known: Tensor) -> None:
        super().__init__()
        self.head = head.requires_grad_(False)
        self.known = nn.Buffer(known)

    def forward(self, hidden: Tensor) -> Tensor:
        return cast("Tensor", self.head(hidden))[:, self.known]


def _head(tower: Encoder, known: Tensor) -> nn.Module:
    """The head that the checkpoint was pre-trained with, if it still has it; sentence encoders mostly do not."""
    own = _own_head(tower)
    if own is not None:
        return OwnHead(own.to(tower.device), known)
    words = tower.model.get_input_embeddings().weight
    assert isinstance(words, Tensor)
    return TiedHead(words.detach()[known].clone())


def _own_head(tower: Encoder) -> nn.Module | None:
    if not any(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in tower.model.config.architectures or ()):
        return None
    with transformers_quiet():
        model, info = AutoModelForMaskedLM.from_pretrained(tower.pretrained.source, output_loading_info=True)
    for name in _HEADS:
        head = getattr(model, name, None)
        if isinstance(head, nn.Module) and not any(key.startswith(f"{name}.") for key in info["missing_keys"]):
            return head.float().train(False)
    return None


def _known_tokens(tower: Encoder, texts: Sequence[str]) -> Tensor:
    """The tokens that the shop uses, in order, (V,): of 250,000 of a multilingual encoder some thousands."""
    batches = (texts[start : start + 256] for start in range(0, len(texts), 256))
    known: Tensor = torch.unique(torch.cat([torch.unique(tower.tokenize(batch)["input_ids"]) for batch in batches]))
    return known
