"""The 3-D U-Net in the place of the 2-D one."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fake_spine import SIZE, arrays, study, volume
from lumbargrade.config import DetectorAugmentSettings, DetectorSettings, FitSettings
from lumbargrade.detector.dataset import join_runs, whole_view
from lumbargrade.detector.features import STACK_START
from lumbargrade.detector.infer import load_detector
from lumbargrade.detector.loss import detector_loss
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.one_view import find_in_view
from lumbargrade.detector.train import study_errors, train_detector
from lumbargrade.labels import View
from lumbargrade.settings import ConfigError

TINY = DetectorSettings(
    network="3d",
    volume_channels=(8, 8, 16),
    image_size=SIZE,
    lstm_hidden=8,
    train_slices=6,
    label_sigma_px=8.0,
    augment=DetectorAugmentSettings(shift=0.02, scale_low=0.95, scale_high=1.05),
    fit=FitSettings(epochs=1, batch_size=2, learning_rate=2e-3),
)


def tiny(view: View, **changes: object) -> Detector:
    pytest.importorskip("monai")
    torch.manual_seed(0)
    return build_detector(view, TINY.model_copy(update=changes)).eval()


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("slices", [1, 5])
def test_maps_have_the_views_channels_at_every_stride(stride: int, slices: int) -> None:
    model = tiny(View.SAGITTAL_T1, heatmap_stride=stride)
    whole = whole_view(arrays(View.SAGITTAL_T1), model.settings)
    with torch.inference_mode():
        said = model(whole.images[:slices], whole.features[:slices], torch.tensor([slices]))
    cells = SIZE // stride
    assert said.heatmap_logits.shape == (slices, 5, cells, cells)
    assert said.pointer_logits.shape == (slices, 10)
    assert float(said.heatmap_logits.mean()) == pytest.approx(-5.0, abs=0.5)


def test_a_slice_sees_its_stack_and_no_other() -> None:
    model = tiny(View.AXIAL_T2)
    whole = whole_view(arrays(View.AXIAL_T2, step=3), model.settings)
    features = whole.features.clone()
    features[5, STACK_START] = 1.0
    images = whole.images.clone().requires_grad_(True)
    logits = model(images, features, whole.lengths).heatmap_logits
    (gradient,) = torch.autograd.grad(logits[4].sum(), images)
    seen = gradient.abs().amax(dim=(1, 2, 3)) > 0
    assert seen[:5].all()
    assert not seen[5:].any()


def test_runs_in_a_batch_do_not_see_each_other() -> None:
    model = tiny(View.SAGITTAL_T1)
    run = whole_view(arrays(View.SAGITTAL_T1, step=3), model.settings)
    other = run._replace(images=run.images.flip(0))
    both = join_runs([other, run])
    with torch.inference_mode():
        together = model(both.images, both.features, both.lengths)
        alone = model(run.images, run.features, run.lengths)
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours[-len(run.images) :], theirs)


def test_it_is_trained_saved_and_finds_points_as_the_other_network(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    parts = [study("1"), study("2", (2.0, 0.0, 3.0))], [study("9")]
    folder = train_detector(View.SAGITTAL_T2, TINY, *parts, tmp_path / "member", 0)
    detector = load_detector(folder)
    assert detector.settings == TINY
    found = find_in_view(detector, volume(View.SAGITTAL_T2), np.full((5, 3), np.nan))
    assert np.isfinite(found.positions_lps_mm).all()
    assert len(study_errors(detector, arrays(View.SAGITTAL_T2))) == 10


def test_it_learns_one_study() -> None:
    """The loss of one batch falls to less than 60 % in 25 steps."""
    model = tiny(View.SAGITTAL_T2).train()
    batch = whole_view(arrays(View.SAGITTAL_T2, step=2), TINY)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = detector_loss(model(batch.images, batch.features, batch.lengths), batch)["loss"]
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_a_size_that_cannot_be_halved_is_refused() -> None:
    wrong = TINY.model_copy(update={"image_size": 72})
    with pytest.raises(ConfigError, match="must be a multiple of 16"):
        build_detector(View.SAGITTAL_T2, wrong)


def test_encoder_settings_are_refused() -> None:
    wrong = TINY.model_copy(update={"pointer_encoder": "test_resnet"})
    with pytest.raises(ConfigError, match="network 3d has no timm encoder"):
        build_detector(View.SAGITTAL_T2, wrong)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(ConfigError, match=r"pip install 'lumbargrade\[unet3d\]'"):
        build_detector(View.SAGITTAL_T2, TINY)
