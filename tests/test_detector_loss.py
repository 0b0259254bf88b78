import numpy as np
import pytest
import torch

from lumbargrade.detector.dataset import DetectorBatch
from lumbargrade.detector.loss import detector_loss, focal_loss, plane_loss, slice_loss
from lumbargrade.detector.model import DetectorOutput


def batch(known: float = 1.0) -> DetectorBatch:
    """Two runs of 3 and 2 slices, 2 maps of 4 x 4, 3 channels of which the last is unlabelled."""
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand((5, 2, 4, 4), generator=generator) * 0.3
    heat[1, 0, 2, 1] = heat[3, 1, 0, 0] = 1.0
    weights = torch.zeros(5, 3)
    weights[0, 0], weights[1, 0], weights[3, 1] = 0.5, 1.0, 1.0
    weights_known = torch.ones(5, 3)
    weights_known[:, 2] = known
    heat_known = torch.ones(5, 2)
    heat_known[2] = known
    return DetectorBatch(
        images=torch.zeros(5, 3, 16, 16),
        features=torch.zeros(5, 9),
        lengths=torch.tensor([3, 2]),
        heatmaps=heat,
        heatmap_known=heat_known,
        weights=weights,
        weights_known=weights_known,
    )


def output(seed: int = 1) -> DetectorOutput:
    generator = torch.Generator().manual_seed(seed)
    return DetectorOutput(
        torch.randn((5, 2, 4, 4), generator=generator).requires_grad_(),
        torch.randn((5, 3), generator=generator).requires_grad_(),
    )


def test_losses_ignore_missing_labels() -> None:
    labelled, said = batch(known=0.0), output()
    torch.autograd.backward(detector_loss(said, labelled)["loss"])
    heat, pointer = said.heatmap_logits.grad, said.pointer_logits.grad
    assert heat is not None
    assert pointer is not None
    assert float(heat[2].abs().max()) == 0.0
    assert float(pointer[:, 2].abs().max()) == 0.0
    assert float(heat[1].abs().max()) > 0.0
    assert float(pointer[:, 0].abs().max()) > 0.0


def test_what_an_unlabelled_cell_says_does_not_change_the_loss() -> None:
    labelled, said = batch(known=0.0), output()
    other = DetectorOutput(said.heatmap_logits.detach().clone(), said.pointer_logits.detach())
    other.heatmap_logits[2] = 50.0
    for name, part in detector_loss(said, labelled).items():
        assert float(part.detach()) == pytest.approx(
            float(detector_loss(other, labelled)[name]), abs=1e-6
        )


def test_a_batch_without_any_label_costs_nothing_and_has_a_gradient_of_zero() -> None:
    labelled, said = batch(), output()
    nothing = labelled._replace(
        heatmap_known=torch.zeros(5, 2),
        weights_known=torch.zeros(5, 3),
        weights=torch.zeros(5, 3),
    )
    loss = detector_loss(said, nothing)["loss"]
    torch.autograd.backward(loss)
    assert float(loss.detach()) == 0.0
    assert said.heatmap_logits.grad is not None
    assert float(said.heatmap_logits.grad.abs().max()) == 0.0


def test_focal_loss_of_one_cell_by_hand() -> None:
    logit, target = torch.tensor([0.0]), torch.tensor([1.0])
    loss = focal_loss(logit, target, torch.ones(1))
    assert float(loss) == pytest.approx(0.25 * np.log(2), abs=1e-6)
    assert float(focal_loss(logit, target, torch.ones(1), focus=0)) == pytest.approx(np.log(2))


def test_focal_loss_is_lowest_at_the_soft_label() -> None:
    target = torch.tensor([0.3])
    losses = [
        float(focal_loss(torch.logit(torch.tensor([p])), target, torch.ones(1)))
        for p in (0.1, 0.2, 0.3, 0.4, 0.6)
    ]
    assert losses[2] == min(losses) == pytest.approx(0.0, abs=1e-7)


def test_a_point_counts_the_same_on_a_map_with_more_background() -> None:
    target = torch.zeros(1, 1, 8, 8)
    target[0, 0, 4, 4] = 1.0
    wide = torch.zeros(1, 1, 32, 32)
    wide[0, 0, 4, 4] = 1.0
    losses = [
        float(focal_loss(torch.full_like(labels, -9.0), labels, torch.ones(1, 1, 1, 1)))
        for labels in (target, wide)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_plane_loss_wants_the_point_where_it_is() -> None:
    target = torch.zeros(1, 1, 4, 4)
    target[0, 0, 2, 3] = 1.0
    right, wrong = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    right[0, 0, 2, 3], wrong[0, 0, 3, 2] = 10.0, 10.0
    known = torch.ones(1, 1)
    assert float(plane_loss(right, target, known)) < 0.01
    assert float(plane_loss(wrong, target, known)) > 9.0
    assert float(plane_loss(wrong, target * 0.1, known)) == 0.0  # hardly shown: says nothing


def test_slice_loss_stays_inside_its_run() -> None:
    """A high logit on another run's slice takes nothing from this run's answer."""
    labelled = batch()
    logits = torch.zeros(5, 3)
    before = slice_loss(logits, labelled)
    logits[3:, 0] = 20.0  # channel 0 is shown by the first run only
    assert float(slice_loss(logits, labelled)) == pytest.approx(float(before), abs=1e-6)
