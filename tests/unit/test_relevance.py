"""ŷ and its head."""

import json

import numpy as np
import pytest

from ranking.relevance import KINDS, Head, head_default, head_fit, relevance, sigmoid

HEAD = Head(dense=10.0, lexical=4.0, intercepts=dict.fromkeys(KINDS, -6.0) | {"product": -5.0}, unknown=0.3)


def sample(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose labels are drawn from HEAD itself."""
    rng = np.random.default_rng(7)
    dense, lexical = rng.uniform(0, 1, count), rng.uniform(0, 1, count)
    return dense, lexical, (rng.uniform(size=count) < relevance(dense, lexical, HEAD, "query")).astype(float)


def test_relevance_is_the_formula_of_the_design() -> None:
    expected = 1 / (1 + np.exp(-(10 * 0.5 + 4 * 0.2 - 6)))

    assert relevance([0.5], [0.2], HEAD, "query")[0] == pytest.approx(expected, abs=1e-15)


def test_each_kind_of_context_has_its_intercept() -> None:
    assert relevance([0.5], [0.0], HEAD, "product")[0] == pytest.approx(sigmoid(0.0))
    with pytest.raises(KeyError):
        relevance([0.5], [0.0], HEAD, "dream")


def test_a_product_without_a_vector_is_judged_by_its_words() -> None:
    found = relevance([np.nan, np.nan], [0.0, 1.0], HEAD, "query")

    assert found[0] == pytest.approx(relevance([HEAD.unknown], [0.0], HEAD, "query")[0])
    assert found[1] > found[0]


def test_no_evidence_overflows() -> None:
    with np.errstate(all="raise"):
        assert sigmoid([-1e4, 0.0, 1e4]).tolist() == [0.0, 0.5, 1.0]


def test_a_head_survives_json() -> None:
    assert Head.from_dict(json.loads(json.dumps(HEAD.to_dict()))) == HEAD


@pytest.mark.parametrize(
    "name", ["multilingual-e5-small", "intfloat/multilingual-e5-base", "all-MiniLM-L6-v2", "my-folder"]
)
def test_every_encoder_has_a_default_head(name: str) -> None:
    head = head_default(name)

    assert head.dense > 0
    assert set(head.intercepts) == set(KINDS)


def test_many_pairs_give_back_the_head_that_made_them() -> None:
    fitted = head_fit(*sample(20_000), default=head_default("minilm"))

    assert fitted.dense == pytest.approx(10.0, rel=0.05)
    assert fitted.lexical == pytest.approx(4.0, rel=0.1)
    assert fitted.intercepts["query"] == pytest.approx(-6.0, rel=0.05)


def test_the_fitted_head_is_the_minimum_of_the_stated_loss() -> None:
    dense, lexical, labels = sample(400)
    fitted = head_fit(dense, lexical, labels, default=HEAD, pull=0.0)
    error = relevance(dense, lexical, fitted, "query") - labels

    assert np.abs([error.sum(), error @ dense, error @ lexical]).max() < 1e-5


def test_few_pairs_leave_the_head_near_the_default() -> None:
    fitted = head_fit([0.9, 0.1], [0.0, 0.0], [0.0, 1.0], default=HEAD)

    assert fitted.dense == pytest.approx(HEAD.dense, rel=0.2)


def test_more_evidence_never_lowers_relevance_even_if_the_labels_say_so() -> None:
    dense, lexical, labels = sample(2000)

    fitted = head_fit(1 - dense, lexical, labels, default=HEAD)

    assert fitted.dense == 0.0
    assert fitted.lexical > 0


def test_separable_pairs_converge() -> None:
    fitted = head_fit([0.1, 0.2, 0.8, 0.9] * 10, [0.0] * 40, [0.0, 0.0, 1.0, 1.0] * 10, default=HEAD)

    assert np.isfinite([fitted.dense, fitted.lexical, fitted.intercepts["query"]]).all()


def test_weights_count_as_repetitions() -> None:
    dense, lexical, labels = sample(50)
    twice = head_fit(np.tile(dense, 2), np.tile(lexical, 2), np.tile(labels, 2), default=HEAD)

    weighted = head_fit(dense, lexical, labels, default=HEAD, weights=np.full(50, 2.0))

    assert weighted.dense == pytest.approx(twice.dense)


def test_the_other_kinds_move_along() -> None:
    fitted = head_fit(*sample(500), default=HEAD)

    assert fitted.intercepts["product"] - fitted.intercepts["query"] == pytest.approx(1.0)


def test_no_pairs_and_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="0 pairs"):
        head_fit([], [], [], default=HEAD)
    with pytest.raises(ValueError, match="2 pairs, 1 labels"):
        head_fit([0.1, 0.2], [0.0, 0.0], [1.0], default=HEAD)
