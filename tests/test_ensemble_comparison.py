import numpy as np
import pytest

from lumbargrade import ensemble_comparison as module
from lumbargrade.ensemble_comparison import OutOfFold, compare, scores_of
from lumbargrade.stacking import stacked_probabilities

STUDIES = 240


def softened(truth: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Answers of a member that sees log p of the truth with noise of its own."""
    rng = np.random.default_rng(seed)
    rows: np.ndarray = np.exp(np.log(truth) + noise * rng.standard_normal(truth.shape))
    rows /= rows.sum(axis=-1, keepdims=True)
    return rows


@pytest.fixture(scope="module")
def found() -> OutOfFold:
    rng = np.random.default_rng(0)
    truth = rng.dirichlet((2.0, 1.0, 0.7), size=(STUDIES, 25))
    labels = (rng.random((STUDIES, 25, 1)) > truth.cumsum(axis=-1)).sum(axis=-1)
    members = tuple(softened(truth, noise, seed) for seed, noise in enumerate((0.6, 0.7, 3.0)))
    return OutOfFold(
        study_ids=tuple(str(i) for i in range(STUDIES)),
        fold=np.arange(STUDIES) % 3,
        labels=labels,
        pairs=(("a", "x"), ("b", "x"), ("noisy", "x")),
        members=members,
        at_mean_points=(),
    )


def test_the_weighted_mean_beats_the_plain_one_where_a_member_is_noise(found: OutOfFold) -> None:
    scores = scores_of(found.labels, compare(found))
    assert set(scores) == {"best-single", "plain", "weighted", "stacked"}
    assert scores["weighted"].score < scores["plain"].score
    assert scores["weighted"].score < scores["best-single"].score
    assert scores["stacked"].score < scores["plain"].score


def test_nothing_is_fitted_on_the_fold_that_it_answers_for(
    found: OutOfFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spy(labels: np.ndarray, members: list[np.ndarray], unseen: list[np.ndarray]) -> np.ndarray:
        fitted = {row.tobytes() for row in members[0]}
        assert not fitted & {row.tobytes() for row in unseen[0]}
        assert len(fitted) + len(unseen[0]) == STUDIES
        rows: np.ndarray = unseen[0]
        return rows

    monkeypatch.setattr(module, "stacked_probabilities", spy)
    answers = compare(found)
    np.testing.assert_array_equal(answers["stacked"], found.members[0])


def test_the_answers_to_a_fold_ignore_that_folds_labels(found: OutOfFold) -> None:
    changed = found.labels.copy()
    here = found.fold == 1
    changed[here] = 2 - changed[here]
    other = OutOfFold(
        study_ids=found.study_ids,
        fold=found.fold,
        labels=changed,
        pairs=found.pairs,
        members=found.members,
        at_mean_points=(),
    )
    before = compare(found)
    for name, answers in compare(other).items():
        np.testing.assert_array_equal(answers[here], before[name][here], err_msg=name)


def test_a_family_without_a_grade_is_answered_by_the_mean(found: OutOfFold) -> None:
    labels = found.labels.copy()
    labels[:, :5] = np.minimum(labels[:, :5], 1)
    answers = stacked_probabilities(labels, found.members, found.members)
    np.testing.assert_allclose(answers[:, :5], np.mean(found.members, axis=0)[:, :5])
    assert np.abs(answers[:, 5:] - np.mean(found.members, axis=0)[:, 5:]).max() > 0.05
    np.testing.assert_allclose(answers.sum(axis=-1), 1.0, atol=1e-9)
