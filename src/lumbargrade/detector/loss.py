"""What the detector's answers are worth.

What must stay true: cells without a label weigh nothing; sums are divided by the labelled positive
mass, not by the number of pixels, so that a point counts as much on a large map as on a small one
and short runs do not end with empty maps. The mass is that of the whole batch, where processes
share it.

Source: quality focal loss, Li et al., arXiv 2006.04388.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from lumbargrade.detector.dataset import DetectorBatch
from lumbargrade.detector.model import DetectorOutput
from lumbargrade.training.share import WHOLE, Share

FOCUS = 2.0
"""Exponent of the focal weight |target − probability|."""

WHERE_WEIGHT = 0.3
"""Of the cross-entropies over the plane and over the slices, beside the focal losses."""

SHOWN = 0.2
"""Slices that show a point less than this say nothing of where in the plane it is."""


def detector_loss(
    output: DetectorOutput, batch: DetectorBatch, share: Share = WHOLE
) -> dict[str, Tensor]:
    """Losses of a batch, or of this process's share of one.

    Returns:
        ``loss``, the weighted sum, and its parts: ``heatmap`` (how sure, per cell), ``plane``
        (where on the slice), ``pointer`` (how sure, per slice), ``slice`` (which slice).
    """
    parts = {
        "heatmap": focal_loss(
            output.heatmap_logits,
            batch.heatmaps,
            batch.heatmap_known[..., None, None],
            share=share,
        ),
        "plane": plane_loss(
            output.heatmap_logits, batch.heatmaps, batch.heatmap_known, share=share
        ),
        "pointer": focal_loss(
            output.pointer_logits, batch.weights, batch.weights_known, focus=0, share=share
        ),
        "slice": slice_loss(output.pointer_logits, batch, share=share),
    }
    focal = parts["heatmap"] + parts["pointer"]
    return {"loss": focal + WHERE_WEIGHT * (parts["plane"] + parts["slice"]), **parts}


def focal_loss(
    logits: Float[Tensor, "..."],
    targets: Float[Tensor, "..."],
    known: Float[Tensor, "..."],
    *,
    focus: float = FOCUS,
    share: Share = WHOLE,
) -> Float[Tensor, ""]:
    """Binary cross-entropy, weighted by |target − probability| ** focus, per positive mass.

    Args:
        logits: any shape.
        targets: 0..1.
        known: 1 where labelled, else 0; broadcast.
        focus: 0 is plain cross-entropy.
        share: of the batch.
    """
    logits = logits.float()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if focus:
        entropy = entropy * (targets - logits.sigmoid()).abs() ** focus
    return share.mean((entropy * known).sum(), (targets * known).sum(), least=1.0)


def plane_loss(
    logits: Float[Tensor, "slice map height width"],
    targets: Float[Tensor, "slice map height width"],
    known: Float[Tensor, "slice map"],
    *,
    share: Share = WHOLE,
) -> Float[Tensor, ""]:
    """Cross-entropy of the softmax over the plane, on slices that show a point."""
    flat = targets.flatten(2)
    peak = flat.amax(dim=2) * known
    weight = torch.where(peak >= SHOWN, peak, torch.zeros_like(peak))
    place = flat / flat.sum(dim=2, keepdim=True).clamp_min(1e-6)
    entropy = -(place * F.log_softmax(logits.float().flatten(2), dim=2)).sum(dim=2)
    return share.mean((entropy * weight).sum(), weight.sum(), least=1.0)


def slice_loss(
    logits: Float[Tensor, "slice channel"], batch: DetectorBatch, *, share: Share = WHOLE
) -> Float[Tensor, ""]:
    """Cross-entropy of the softmax over the slices of a run, for points that the run shows."""
    total, shown = logits.new_zeros(()), logits.new_zeros(())
    lengths = batch.lengths.tolist()
    runs = zip(
        torch.split(logits.float(), lengths),
        torch.split(batch.weights, lengths),
        torch.split(batch.weights_known, lengths),
        strict=True,
    )
    for run, weights, known in runs:
        place = weights / weights.sum(dim=0).clamp_min(1e-6)
        entropy = -(place * F.log_softmax(run, dim=0)).sum(dim=0)
        here = weights.amax(dim=0) * known[0]
        total, shown = total + (entropy * here).sum(), shown + here.sum()
    return share.mean(total, shown, least=1.0)
