import numpy as np
import pytest

from lumbargrade.ensemble import fit_weights, mean_probabilities


def random_rows(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    rows: np.ndarray = np.random.default_rng(seed).random((*shape, 3)) + 0.05
    rows /= rows.sum(-1, keepdims=True)
    return rows


def test_mean_of_two_members() -> None:
    mean = mean_probabilities([np.array([[0.8, 0.1, 0.1]]), np.array([[0.4, 0.5, 0.1]])])
    np.testing.assert_allclose(mean, [[0.6, 0.3, 0.1]])


def test_weights_count_in_proportion() -> None:
    members = [np.array([[0.8, 0.1, 0.1]]), np.array([[0.4, 0.5, 0.1]])]
    np.testing.assert_allclose(mean_probabilities(members, [3, 1]), [[0.7, 0.2, 0.1]])


def test_order_of_members_does_not_matter() -> None:
    members = [random_rows(seed, (4, 25)) for seed in range(3)]
    np.testing.assert_allclose(
        mean_probabilities(members), mean_probabilities(members[::-1]), rtol=1e-14
    )


@pytest.mark.parametrize("weights", [[1.0], [1.0, -0.5], [0.0, 0.0]])
def test_impossible_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="2 members"):
        mean_probabilities([random_rows(0, (25,)), random_rows(1, (25,))], weights)


def test_an_empty_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_probabilities([])


def test_fitted_weights_prefer_the_member_that_knows() -> None:
    rng = np.random.default_rng(0)
    knowing = random_rows(1, (60, 25)) ** 3
    knowing /= knowing.sum(-1, keepdims=True)
    labels = (rng.random((60, 25, 1)) > knowing.cumsum(-1)).sum(-1)
    guessing = random_rows(2, (60, 25))
    weights = fit_weights(labels, [guessing, knowing])
    assert weights[1] > 0.9
    assert sum(weights) == pytest.approx(1.0)


def test_one_member_weighs_one() -> None:
    assert fit_weights(np.zeros((2, 25), int), [random_rows(0, (2, 25))]) == (1.0,)
