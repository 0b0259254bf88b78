"""What the classifier is trained on: plain cross-entropy first, then the metric itself.

What must stay true: a cell without a label has no influence, on the value or on the gradient; a
mean divides by the labelled weight (of the whole batch, where processes share it), not by the
number of cells; everything is computed in float32.

Targets are soft: (study, 25, 3), one row per cell that sums to 1, or to 0 where unlabelled.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from lumbargrade.labels import (
    CONDITIONS,
    GRADE_WEIGHTS,
    GRADES,
    LEVELS,
    Family,
    Grade,
)
from lumbargrade.training.share import WHOLE, Share

SMALLEST_PROBABILITY = 1e-6
"""Of the any-severe term, which takes a logarithm of a maximum."""

Logits = Float[Tensor, "study 25 3"]
Targets = Float[Tensor, "study 25 3"]
Cells = Float[Tensor, "*cell 3"]
"""Logits or targets of any cells, for what treats each alone."""

LEAST_WEIGHT = 1e-12
"""Weights are divided by at least this, where nothing is labelled."""

_SEVERE = GRADES.index(Grade.SEVERE)
_CANAL = slice(0, len(LEVELS))


def soft_targets(labels: Int[Tensor, "*cell"]) -> Cells:
    """One-hot rows; zeros where the label is ``MISSING_GRADE``."""
    one_hot: Tensor = functional.one_hot(labels.clamp(min=0), len(GRADES)).float()
    return one_hot * (labels >= 0)[..., None]


def smooth(targets: Cells, share: float) -> Cells:
    """Spread a share of every labelled row evenly over the grades; unlabelled rows stay zero."""
    labelled = targets.sum(dim=-1, keepdim=True)
    return (1 - share) * targets + share * labelled / len(GRADES)


def cross_entropy(logits: Cells, targets: Cells, share: Share = WHOLE) -> Float[Tensor, ""]:
    """Mean cross-entropy over labelled cells; 0 where there is none."""
    log_probabilities = logits.float().log_softmax(dim=-1)
    return share.mean(-(targets * log_probabilities).sum(), targets.sum(), least=LEAST_WEIGHT)


def weighted_cross_entropy(
    logits: Logits, targets: Targets, share: Share = WHOLE
) -> Float[Tensor, ""]:
    """Mean over the families of their cross-entropies, weighted 1 / 2 / 4 by true grade."""
    weights = targets * targets.new_tensor(GRADE_WEIGHTS)
    losses = -weights * logits.float().log_softmax(dim=-1)
    totals = share.total(torch.stack([weights[:, cells].sum() for cells in _FAMILY_CELLS]))
    by_family = [
        share.count * losses[:, cells].sum() / total
        for cells, total in zip(_FAMILY_CELLS, totals, strict=True)
        if bool(total > 0)
    ]
    return torch.stack(by_family).mean() if by_family else losses.sum()


def any_severe_loss(logits: Logits, targets: Targets, share: Share = WHOLE) -> Float[Tensor, ""]:
    """The metric's fourth term: is some canal level severe?

    The answer is the largest probability of "severe" over the labelled canal levels, the weight
    of a study that of its worst labelled canal level; a study without a labelled one is skipped.
    """
    with torch.autocast(logits.device.type, enabled=False):
        canal = targets[:, _CANAL]
        labelled = canal.sum(dim=-1) > 0
        severe = logits[:, _CANAL].float().softmax(dim=-1)[..., _SEVERE]
        answer = (severe * labelled).amax(dim=1)
        answer = answer.clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        truth = canal[..., _SEVERE].amax(dim=1)
        weight = (canal * canal.new_tensor(GRADE_WEIGHTS)).sum(dim=-1).amax(dim=1)
        losses = functional.binary_cross_entropy(answer, truth, reduction="none")
        return share.mean((weight * losses).sum(), weight.sum(), least=LEAST_WEIGHT)


def metric_loss(logits: Logits, targets: Targets, share: Share = WHOLE) -> dict[str, Tensor]:
    """The competition metric of a batch as a loss, with its two parts."""
    weighted = weighted_cross_entropy(logits, targets, share)
    any_severe = any_severe_loss(logits, targets, share)
    return {
        "loss": (3 * weighted + any_severe) / 4,
        "weighted": weighted,
        "any_severe": any_severe,
    }


def _cells(family: Family) -> list[int]:
    return [
        i * len(LEVELS) + j
        for i, condition in enumerate(CONDITIONS)
        if condition.family is family
        for j in range(len(LEVELS))
    ]


_FAMILY_CELLS = [_cells(family) for family in Family]
