"""Peers on a log: each question is asked with what happened strictly earlier, fits come as often as a peer takes them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from bench.recommend_log import Ints, Log
from bench.recommend_metrics import Answers
from bench.recommend_mix import MixCase, PlainMix, mix_case, mix_tune
from bench.recommend_peers import DEPTH, PEERS, Ease, Floats, Maker, Peer
from bench.recommend_protocols import Past, Question

Baselines: TypeAlias = tuple[dict[str, dict[str, Answers]], dict[str, dict[str, float]]]
Modes: TypeAlias = Mapping[str, bool]  # what is measured, and whether a shopper is shown again what she has
ALL: Modes = {"all": True}
NEW: Modes = {"new": False}
BOTH: Modes = {**ALL, **NEW}


def asked(question: Question, again: bool) -> bool:
    """Whether a question is one of this mode: without `again` there is nothing to find where she had it."""
    return again or question.new


def walk(log: Log, questions: Sequence[Question], peer: Peer, *, label: str) -> Iterator[tuple[Past, Question]]:
    """Ask questions in the order of their time, the peer fitted as often as it takes."""
    past, due = Past(log), -np.inf
    for question in tqdm(questions, desc=label, unit="question", file=sys.stderr, mininterval=1.0, leave=False):
        for number in past.move(question.at):
            peer.see(past, number)
        if question.at >= due:
            peer.learn(past)
            due = question.at + peer.refit_seconds
        yield past, question


def top(scores: Floats, without: Ints) -> Ints:
    """The 50 best rows, best first, ties by row, without some."""
    scores = scores.copy()
    scores[without] = -np.inf
    best = np.argpartition(-scores, DEPTH - 1)[:DEPTH] if len(scores) > DEPTH else np.arange(len(scores))
    best = best[np.lexsort((best, -scores[best]))]
    return best[np.isfinite(scores[best])]


def peer_answers(
    log: Log, questions: Sequence[Question], peer: Peer, modes: Modes, *, label: str
) -> dict[str, Answers]:
    """What a peer answers in each mode."""
    found = {mode: Answers() for mode in modes}
    for past, question in walk(log, questions, peer, label=label):
        scores = peer.scores(past, question)
        if scores is None:
            scores = past.popular(question.at)
        had = np.unique(log.item[past.of(question.shopper)])
        for mode, again in modes.items():
            if asked(question, again):
                found[mode].add(question, top(scores, had[:0] if again else had).tolist())
    return found


def peer_tuned(log: Log, tail: Sequence[Question], makers: Sequence[Maker], modes: Modes, *, name: str) -> Maker:
    """The options with which a peer, fitted before the tail, does best in it: by nDCG@10, over all modes."""
    if len(makers) == 1:
        return makers[0]

    def worth(maker: Maker) -> float:
        peer = maker()
        peer.refit_seconds = np.inf
        found = peer_answers(log, tail, peer, modes, label=f"tune {name}")
        return sum(float(np.mean(answers.ndcg() or [0.0])) for answers in found.values())

    return max(makers, key=worth)


def mix_tuned(log: Log, tail: Sequence[Question], mix: PlainMix, modes: Modes) -> dict[str, Floats]:
    """Weights of the plain mix in each mode."""
    cases: dict[str, list[MixCase]] = {mode: [] for mode in modes}
    for past, question in walk(log, tail, mix, label="tune mix"):
        parts = mix.parts(past, question)
        had = np.unique(log.item[past.of(question.shopper)])
        for mode, again in modes.items():
            if asked(question, again):
                cases[mode].append(mix_case(parts, question, without=had[:0] if again else had))
    return {mode: mix_tune(of_mode, len(mix.names)) for mode, of_mode in cases.items()}


def mix_answers(
    log: Log, questions: Sequence[Question], mix: PlainMix, weights: Mapping[str, Floats], modes: Modes
) -> dict[str, Answers]:
    """What the plain mix answers with the weights of each mode."""
    found = {mode: Answers() for mode in modes}
    for past, question in walk(log, questions, mix, label="mix"):
        parts = mix.parts(past, question)
        had = np.unique(log.item[past.of(question.shopper)])
        for mode, again in modes.items():
            if asked(question, again):
                found[mode].add(question, top(weights[mode] @ parts, had[:0] if again else had).tolist())
    return found


def baselines(
    log: Log,
    tail: Sequence[Question],
    questions: Sequence[Question],
    modes: Modes,
    vectors: NDArray[np.float32],
    with_ease: bool,
) -> Baselines:
    """Answers of every peer and of the plain mix, which takes EASE in or not, in each mode; and the weights of the mix."""
    found, chosen = {}, {}
    for name, makers in PEERS.items():
        chosen[name] = peer_tuned(log, tail, makers, modes, name=name)
        found[name] = peer_answers(log, questions, chosen[name](), modes, label=name)

    def mix() -> PlainMix:
        ease = chosen["ease"]() if with_ease else None
        return PlainMix(log, vectors, ease=ease if isinstance(ease, Ease) else None)

    tuned = mix()
    weights = mix_tuned(log, tail, tuned, modes)
    found["mix"] = mix_answers(log, questions, mix(), weights, modes)
    return found, {mode: dict(zip(tuned.names, each.tolist(), strict=True)) for mode, each in weights.items()}


def beside(*arguments: Any) -> Callable[[], Baselines]:
    """Begin `baselines` in a process of its own, on the other core; what is returned waits for it (EOFError: it died)."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    context.Process(target=_baselines_send, args=(sender, arguments), daemon=True).start()
    sender.close()
    return receiver.recv


def _baselines_send(sender: Connection, arguments: tuple[Any, ...]) -> None:
    with threadpool_limits(1, "blas"):  # the other core is Freshet's, and threads that wait for a core wait long
        sender.send(baselines(*arguments))
