from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lumbargrade.classifier.loss import (
    any_severe_loss,
    cross_entropy,
    metric_loss,
    smooth,
    soft_targets,
    weighted_cross_entropy,
)
from lumbargrade.labels import MISSING_GRADE
from lumbargrade.metric import competition_metric


def random_case(studies: int = 6, missing: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (studies, 25), generator=generator)
    hidden = torch.rand(studies, 25, generator=generator) < missing
    logits = torch.randn(studies, 25, 3, generator=generator, dtype=torch.float64)
    return logits, labels.masked_fill(hidden, MISSING_GRADE)


def test_soft_targets_are_one_hot_and_zero_where_missing() -> None:
    targets = soft_targets(torch.tensor([[2, MISSING_GRADE, *[0] * 23]]))
    assert targets.tolist() == [[[0, 0, 1], [0, 0, 0], *[[1, 0, 0]] * 23]]


@pytest.mark.parametrize(
    "loss",
    [cross_entropy, weighted_cross_entropy, any_severe_loss, lambda *x: metric_loss(*x)["loss"]],
    ids=["cross_entropy", "weighted", "any_severe", "metric"],
)
def test_missing_labels_have_no_influence_on_value_or_gradient(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    logits, labels = random_case()
    missing = labels == MISSING_GRADE
    other = torch.where(missing[..., None], logits + 7 * torch.randn_like(logits), logits)
    logits.requires_grad_(True)
    value = loss(logits, soft_targets(labels))
    assert value.item() == loss(other, soft_targets(labels)).item()
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient[missing].abs().max() == 0
    assert gradient[~missing].abs().max() > 0


def test_without_any_label_every_loss_is_zero_and_has_a_gradient() -> None:
    logits = torch.randn(2, 25, 3, requires_grad=True)
    targets = soft_targets(torch.full((2, 25), MISSING_GRADE))
    total = cross_entropy(logits, targets) + metric_loss(logits, targets)["loss"]
    (gradient,) = torch.autograd.grad(total, logits)
    assert total.item() == 0
    assert gradient.abs().max() == 0


def test_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([0.5, 0.25, 0.25])).expand(1, 25, 3)
    labels = torch.full((1, 25), MISSING_GRADE)
    labels[0, 0], labels[0, 1] = 0, 1
    expected = (np.log(2) + np.log(4)) / 2
    assert cross_entropy(logits, soft_targets(labels)).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_mixed_targets_is_the_mixture() -> None:
    logits, labels = random_case(missing=0.0)
    first, second = soft_targets(labels), soft_targets(labels.roll(1, 0))
    mixed = cross_entropy(logits, 0.3 * first + 0.7 * second)
    expected = 0.3 * cross_entropy(logits, first) + 0.7 * cross_entropy(logits, second)
    assert mixed.item() == pytest.approx(expected.item(), rel=1e-6)


def test_metric_loss_equals_the_competition_metric() -> None:
    logits, labels = random_case(studies=40)
    score = competition_metric(labels.numpy(), logits.softmax(-1).numpy())
    parts = metric_loss(logits, soft_targets(labels))
    assert parts["loss"].item() == pytest.approx(score.score, rel=1e-5)
    assert parts["any_severe"].item() == pytest.approx(score.any_severe_spinal, rel=1e-5)


def test_any_severe_of_a_certain_wrong_answer_is_finite() -> None:
    logits = torch.zeros(1, 25, 3)
    logits[..., 0] = 200.0
    labels = torch.full((1, 25), 2)
    assert any_severe_loss(logits, soft_targets(labels)).item() == pytest.approx(
        -np.log(1e-6), rel=1e-3
    )


def test_label_smoothing_spreads_a_share_evenly_and_leaves_unlabelled_rows_zero() -> None:
    targets = smooth(soft_targets(torch.tensor([[2, MISSING_GRADE, 0]])), 0.3)
    expected = torch.tensor([[[0.1, 0.1, 0.8], [0, 0, 0], [0.8, 0.1, 0.1]]])
    torch.testing.assert_close(targets, expected)


def test_smoothed_cross_entropy_by_hand() -> None:
    """p = (1/2, 1/4, 1/4), grade 0, share 0.3: 0.8 log 2 + 0.2 log 4 = 1.2 log 2."""
    logits = torch.tensor([[[2.0, 1.0, 1.0]]]).log()
    targets = smooth(soft_targets(torch.tensor([[0]])), 0.3)
    assert cross_entropy(logits, targets).item() == pytest.approx(1.2 * np.log(2), rel=1e-6)
