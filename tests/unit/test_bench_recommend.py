"""bench/recommend.py without servers: reading and cutting a log, what is asked when, the figures, and the peers."""

from __future__ import annotations

from math import log2
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as some

from bench.recommend_log import DAY, Columns, Log, _seconds, cut_of, cuts_of, log_read
from bench.recommend_metrics import Answers, known_only, p1_figures, p2_figures, ratio
from bench.recommend_mix import PARTS, Covisits, MixCase, PlainMix, mix_case, mix_tune
from bench.recommend_peers import PEERS, Peer, ease_weights
from bench.recommend_protocols import Past, Question, cold_items, p1_questions, p2_questions
from bench.recommend_walk import BOTH, NEW, mix_tuned, peer_answers, peer_tuned, top, walk

CSV = """user_id,item_id,timestamp
ann,007,86400
bob,12,100
ann,12,86400
ann,12,86400
bob,99,200
,12,300
bob,12,tomorrow
"""
ITEMS = "item_id,title\n12,Mug\n007,\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(CSV)
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path


def log_of(*events: tuple[str, str, float], items: str = "abcdef") -> Log:
    """Events as (shopper, item, day), in the order of their days."""
    shoppers = sorted({who for who, _, _ in events})
    return Log(
        shopper=np.array([shoppers.index(who) for who, _, _ in events]),
        item=np.array([items.index(item) for _, item, _ in events]),
        at=np.array([int(day * DAY) for _, _, day in events]),
        shopper_ids=shoppers,
        item_ids=list(items),
        titles=list(items),
    )


# ann and bob come back after day 10, cid is new then; e is first taken then, f never
SMALL = log_of(
    ("ann", "a", 1), ("bob", "a", 1), ("ann", "b", 2), ("bob", "c", 3),
    ("ann", "a", 10), ("ann", "e", 10), ("bob", "d", 11), ("cid", "a", 11), ("bob", "d", 12), ("cid", "a", 12),
)  # fmt: skip


def test_a_log_is_read_in_the_order_of_time_and_what_cannot_be_used_is_counted(files: Path) -> None:
    log = log_read(files / "log.csv", files / "items.csv", Columns())

    assert [(log.shopper_ids[u], log.item_ids[i], t) for u, i, t in zip(log.shopper, log.item, log.at, strict=True)] == [
        ("bob", "12", 100), ("ann", "007", 86400), ("ann", "12", 86400),
    ]  # fmt: skip
    assert log.titles == ["007", "Mug"]  # one that has no title is called by its id
    assert log.left_out == 3


def test_parquet_with_dates_and_columns_of_other_names_reads_alike(files: Path) -> None:
    times = pd.to_datetime(["1970-01-02 00:00:00", "1970-01-01 00:01:40"])
    pd.DataFrame({"who": [13.0, None], "what": ["007", "12"], "when": times}).to_parquet(files / "log.parquet")
    (files / "items.csv").write_text("what,name\n007,Spoon\n12,Mug\n")

    log = log_read(
        files / "log.parquet", files / "items.csv", Columns(user="who", item="what", time="when", title="name")
    )

    assert (log.shopper_ids, log.at.tolist(), log.left_out) == (["13"], [86400], 1)


def test_times_are_seconds_or_dates_and_without_a_zone_utc() -> None:
    for text in ("1970-01-02", "1970-01-02 00:00:00", "1970-01-02T01:00:00+01:00", "86400", "86400.9"):
        assert _seconds(pd.Series([text, "never"])).tolist()[0] == 86400


def test_a_file_without_a_column_is_refused_by_its_name(files: Path) -> None:
    with pytest.raises(ValueError, match="no column customer; it has user_id, item_id, timestamp"):
        log_read(files / "log.csv", files / "items.csv", Columns(user="customer"))


def test_the_cut_is_the_midnight_before_which_the_share_lies() -> None:
    at = np.arange(20) * DAY // 2 + 60

    assert cut_of(at, 0.85) == 8 * DAY
    assert cuts_of(log_of(*(("ann", "a", day) for day in range(100)))) == (76 * DAY, 85 * DAY)


def test_a_log_of_one_day_has_nothing_before_the_cut() -> None:
    with pytest.raises(ValueError, match="nothing before the cut"):
        cuts_of(log_of(("ann", "a", 0.1), ("ann", "b", 0.2)))


def wanted(questions: list[Question]) -> dict[str, str]:
    return {SMALL.shopper_ids[each.shopper]: "".join(SMALL.item_ids[row] for row in each.wanted) for each in questions}


def test_p1_wants_what_is_new_to_shoppers_of_both_sides_or_with_repeats_all_they_took() -> None:
    assert wanted(p1_questions(SMALL, start=10 * DAY)) == {"ann": "e", "bob": "d"}
    assert wanted(p1_questions(SMALL, start=10 * DAY, repeats=True)) == {"ann": "ae", "bob": "d"}
    assert wanted(p1_questions(SMALL, start=10 * DAY, end=11 * DAY, repeats=True)) == {"ann": "ae"}


def test_p2_asks_single_events_and_says_which_are_new_and_whose_shopper_is_known() -> None:
    asked = p2_questions(SMALL, start=10 * DAY, sample=99, seed=0)

    assert [(SMALL.item_ids[each.wanted[0]], each.new, each.known) for each in asked] == [
        ("a", False, True), ("e", True, True), ("d", True, True), ("a", True, False), ("d", False, True), ("a", False, True),
    ]  # fmt: skip
    assert len(p2_questions(SMALL, start=10 * DAY, sample=3, seed=0)) == 3
    assert p2_questions(SMALL, start=10 * DAY, sample=3, seed=1) == p2_questions(
        SMALL, start=10 * DAY, sample=3, seed=1
    )


def test_what_happens_at_one_moment_is_not_known_at_that_moment() -> None:
    past = Past(SMALL)

    assert list(past.move(10 * DAY)) == [0, 1, 2, 3]
    assert past.newest_items(0, 20)[0].tolist() == [1, 0]
    assert list(past.move(11 * DAY)) == [4, 5]
    assert past.newest_items(0, 2)[0].tolist() == [4, 0]  # e and a again, each once


def test_popularity_halves_in_a_week_and_knows_nothing_of_the_moment_itself() -> None:
    past = Past(SMALL)
    list(past.move(10 * DAY))

    assert past.popular(10 * DAY) == pytest.approx(
        2 ** (-np.array([9, 8, 7, np.inf, np.inf, np.inf]) / 7) * [2, 1, 1, 0, 0, 0]
    )


def test_items_are_cold_that_nobody_took_before() -> None:
    assert cold_items(SMALL, start=10 * DAY) == {3, 4, 5}


def test_p1_figures_are_those_of_the_closed_forms() -> None:
    answers = Answers()
    answers.add(Question(shopper=0, at=0, wanted=(4, 9)), [0, 4, 1])
    answers.add(Question(shopper=1, at=0, wanted=(3,)), [0, *range(10, 19), 3])

    figures = p1_figures(answers, items=24, cold={3, 9})

    assert figures["ndcg_at_10"] == pytest.approx((1 / log2(3)) / (1 + 1 / log2(3)) / 2)
    assert (figures["hr_at_10"], figures["recall_at_50"], figures["cold_at_50"]) == (0.5, 0.75, 0.5)
    assert figures["coverage_at_10"] == pytest.approx(12 / 24)


def test_p2_figures_are_those_of_the_closed_forms() -> None:
    answers = Answers()
    answers.add(Question(shopper=0, at=0, wanted=(4,)), [0, 1, 2, 4])
    answers.add(Question(shopper=1, at=0, wanted=(3,), known=False), [*range(10, 20), 3])

    assert p2_figures(answers) == pytest.approx({"hr_at_10": 0.5, "mrr_at_10": 0.125, "ndcg_at_10": 0.5 / log2(5)})
    assert p2_figures(known_only(answers))["mrr_at_10"] == 0.25


def test_a_ratio_lies_in_its_interval_and_of_nothing_is_no_number() -> None:
    chance = np.random.default_rng(0)
    theirs = chance.random(500)

    value, (low, high) = ratio(1.2 * theirs + 0.01 * chance.random(500), theirs)

    assert low < value < high < 1.3
    assert value == pytest.approx(1.21, abs=0.01)
    assert np.isnan(ratio([1.0], [0.0])[0])


def test_covisits_decay_with_the_gap_and_with_their_age() -> None:
    log = log_of(("ann", "a", 0), ("ann", "b", 180), ("bob", "c", 180), ("bob", "d", 180), ("cid", "a", 545))
    covisits, past = Covisits(log), Past(log)
    for number in past.move(10**9):
        covisits.see(past, number)

    assert covisits.sums[0, 1] == covisits.sums[1, 0] == pytest.approx(0.5 * 0.5)  # 180 days apart, 365 days old
    assert covisits.sums[2, 3] == pytest.approx(0.5)
    assert covisits.sums[0, 2] == 0


@given(
    some.lists(some.tuples(some.sampled_from("uvw"), some.sampled_from("abcdef"), some.integers(0, 400)), min_size=1)
)
@settings(max_examples=30, deadline=None)
def test_covisits_are_the_sum_over_all_pairs_of_a_shopper(events: list[tuple[str, str, int]]) -> None:
    log = log_of(*sorted(events, key=lambda each: each[2]))
    covisits, past = Covisits(log), Past(log)
    for number in past.move(10**9):
        covisits.see(past, number)
    expected, end = np.zeros((6, 6)), log.at[-1]
    for later in range(len(log)):
        own = [n for n in range(later) if log.shopper[n] == log.shopper[later]][-50:]
        for earlier in own:
            a, b, gap = log.item[earlier], log.item[later], (log.at[later] - log.at[earlier]) / DAY
            if a != b:
                worth = 2 ** (-gap / 180) * 2 ** (-(end - log.at[later]) / DAY / 365)
                expected[a, b] += worth
                expected[b, a] += worth

    assert covisits.sums == pytest.approx(expected, rel=1e-5)


def test_ease_is_the_inverse_of_its_paper() -> None:
    taken = (np.random.default_rng(0).random((30, 6)) < 0.4).astype(np.float32)
    inverse = np.linalg.inv(taken.T @ taken + 5.0 * np.eye(6))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)

    assert ease_weights(sparse.csr_matrix(taken), 5.0) == pytest.approx(expected, abs=1e-4)


def test_tuning_finds_the_part_that_shoppers_go_by() -> None:
    chance = np.random.default_rng(0)
    cases = []
    for _ in range(50):
        parts = chance.random((3, 40)).astype(np.float32)
        cases.append(MixCase(parts, np.arange(40) == int((parts[0] + 0.5 * parts[2]).argmax()), 1))

    weights = mix_tune(cases, 3)

    assert weights[1] < 0.1
    assert weights[2] / weights[0] == pytest.approx(0.5, abs=0.2)


def test_what_a_shopper_has_is_no_candidate_of_tuning_but_counts_as_wanted() -> None:
    parts = np.random.default_rng(0).random((2, 30))

    case = mix_case(parts, Question(shopper=0, at=0, wanted=(3, 4)), without=np.array([3]))

    assert case.parts.shape[1] == 29
    assert (case.wanted.sum(), case.count) == (1, 2)


def test_the_best_rows_come_first_ties_by_row_and_masked_ones_never() -> None:
    assert top(np.array([1.0, 3.0, 3.0, 2.0]), np.array([3])).tolist() == [1, 2, 0]
    many = top(np.arange(100.0), np.array([99]))
    assert (len(many), many[0], many[-1]) == (50, 98, 49)


class Recorder(Peer):
    """Scores nothing, remembers what it knew when."""

    def __init__(self) -> None:
        self.fits: list[int] = []
        self.known: list[int] = []

    def learn(self, past: Past) -> None:
        self.fits.append(past.end)

    def scores(self, past: Past, question: Question) -> None:
        self.known.append(past.end)


def test_peers_are_asked_with_what_was_strictly_earlier_and_fitted_once_a_week() -> None:
    log = log_of(*(("ann", "abcdef"[day % 6], day) for day in range(30)))
    peer = Recorder()

    answers = peer_answers(log, p2_questions(log, start=10 * DAY, sample=99, seed=0), peer, BOTH, label="test")

    assert peer.known == list(range(10, 30))
    assert peer.fits == [10, 17, 24]
    assert (len(answers["all"].questions), len(answers["new"].questions)) == (20, 0)
    assert answers["all"].listed[0][:3] == (3, 2, 1)  # of nobody known: what is popular


def tastes(seed: int = 0) -> Log:
    """Two hundred shoppers who take things of their half of twelve, a thing a day."""
    chance = np.random.default_rng(seed)
    items = "abcdefghijkl"
    events = [
        (f"s{who}", items[6 * (who % 2) + int(chance.integers(6))], day) for day in range(20) for who in range(200)
    ]
    return log_of(*events, items=items)


@pytest.mark.parametrize("name", sorted(set(PEERS) - {"popularity"}))
def test_each_peer_learns_who_likes_what(name: str) -> None:
    log = tastes()
    questions = [Question(shopper=log.shopper_ids.index("s0"), at=20 * DAY, wanted=(0,))]
    for maker in PEERS[name]:
        [(past, question)] = list(walk(log, questions, peer := maker(), label="test"))
        scores = peer.scores(past, question)

        assert scores is not None
        assert np.mean(scores[:6]) > np.mean(scores[6:])


@pytest.mark.parametrize("name", sorted(set(PEERS) - {"popularity"}))
def test_no_peer_knows_a_shopper_it_never_saw(name: str) -> None:
    log = tastes()
    peer, past = PEERS[name][0](), Past(log)
    list(past.move(10 * DAY))
    peer.learn(past)
    past.events.pop(3)

    assert name == "bpr" or peer.scores(past, Question(shopper=3, at=10 * DAY, wanted=(0,))) is None


def test_the_options_are_those_that_do_best_on_the_tail() -> None:
    log = tastes()
    tail = p2_questions(log, start=10 * DAY, end=20 * DAY, sample=50, seed=0)
    good, bad = PEERS["ease"][0], Recorder

    assert peer_tuned(log, tail, [bad, good], {"all": True}, name="test") is good


def test_the_plain_mix_has_its_parts_in_0_to_1_and_is_tuned_in_each_mode() -> None:
    log = tastes()
    vectors = np.repeat(np.eye(2, dtype=np.float32), 6, axis=0)
    mix = PlainMix(log, vectors)
    tail = p2_questions(log, start=3 * DAY, end=6 * DAY, sample=60, seed=0)

    for past, question in walk(log, tail, mix, label="test"):
        parts = mix.parts(past, question)
        assert parts.shape == (len(PARTS), 12)
        assert ((parts >= 0) & (parts <= 1)).all()
    weights = mix_tuned(log, tail, PlainMix(log, vectors), BOTH)
    assert {mode: each.any() for mode, each in weights.items()} == {"all": True, "new": True}


def test_a_plain_mix_of_a_shopper_without_history_is_what_is_popular() -> None:
    log = tastes()
    mix = PlainMix(log, np.zeros((12, 2), dtype=np.float32))
    mix.weights = np.ones(len(PARTS))
    [(past, _)] = list(walk(log, [Question(shopper=0, at=5 * DAY, wanted=(0,))], mix, label="test"))
    past.events.pop(0)

    scores = mix.scores(past, Question(shopper=0, at=5 * DAY, wanted=(0,)))

    assert scores is not None
    assert scores.argmax() == past.popular(5 * DAY).argmax()


def test_new_asks_only_what_the_shopper_did_not_have() -> None:
    log = tastes()
    questions = p2_questions(log, start=10 * DAY, sample=200, seed=0)

    found = peer_answers(log, questions, PEERS["popularity"][0](), NEW, label="test")["new"]

    assert len(found.questions) == sum(each.new for each in questions)
    for question, listed in zip(found.questions, found.listed, strict=True):
        had = log.item[(log.shopper == question.shopper) & (log.at < question.at)]
        assert not set(listed) & set(had.tolist())
