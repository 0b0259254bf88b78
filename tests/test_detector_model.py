from pathlib import Path

import numpy as np
import pytest
import torch

from fake_spine import SIZE, arrays
from lumbargrade.config import DetectorMember, DetectorSettings
from lumbargrade.detector.dataset import DetectorBatch, join_runs, whole_view
from lumbargrade.detector.infer import load_detector
from lumbargrade.detector.loss import detector_loss
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.train import study_errors
from lumbargrade.labels import View
from lumbargrade.settings import ConfigError
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS, save_weights

TINY = DetectorSettings(
    encoder_depth=3,
    decoder_channels=(16,),
    heatmap_stride=4,
    image_size=SIZE,
    lstm_hidden=16,
    label_sigma_px=8.0,
)


def tiny(view: View, settings: DetectorSettings = TINY) -> Detector:
    torch.manual_seed(0)
    return build_detector(view, settings)


def run_of(view: View, slices: slice) -> DetectorBatch:
    whole = whole_view(arrays(view), TINY)
    parts = {
        name: getattr(whole, name)[slices] for name in whole._fields if name not in ("lengths",)
    }
    return DetectorBatch(**parts, lengths=torch.tensor([len(parts["images"])]))


@pytest.mark.parametrize(("stride", "channels"), [(1, (8, 8, 8)), (2, (8, 8)), (4, (16,))])
@pytest.mark.parametrize("view", list(View))
def test_maps_and_pointers_have_the_views_channels(
    view: View, stride: int, channels: tuple[int, ...]
) -> None:
    settings = TINY.model_copy(update={"heatmap_stride": stride, "decoder_channels": channels})
    model = tiny(view, settings).eval()
    batch = run_of(view, slice(0, 3))
    with torch.inference_mode():
        said = model(batch.images, batch.features, batch.lengths)
    cells = SIZE // stride
    assert said.heatmap_logits.shape == (3, model.channels.map_count, cells, cells)
    assert said.pointer_logits.shape == (3, 10)
    assert float(said.heatmap_logits.mean()) == pytest.approx(-5.0, abs=0.5)


POINTERS = {
    "lstm": {},
    "transformer": {"pointer": "transformer"},
    "own encoder": {"pointer_encoder": "test_resnet"},
}


@pytest.mark.parametrize("change", POINTERS.values(), ids=POINTERS)
def test_runs_in_a_batch_do_not_see_each_other(change: dict[str, str]) -> None:
    model = tiny(View.SAGITTAL_T1, TINY.model_copy(update=change)).eval()
    first, second = (run_of(View.SAGITTAL_T1, part) for part in (slice(0, 5), slice(5, 12)))
    joined = join_runs([first, second])
    with torch.inference_mode():
        together = model(joined.images, joined.features, joined.lengths)
        alone = model(second.images, second.features, second.lengths)
    for name in ("heatmap_logits", "pointer_logits"):
        torch.testing.assert_close(getattr(together, name)[5:], getattr(alone, name))


@pytest.mark.parametrize("change", POINTERS.values(), ids=POINTERS)
def test_every_pointer_sees_the_other_slices_of_its_run(change: dict[str, str]) -> None:
    model = tiny(View.SAGITTAL_T1, TINY.model_copy(update=change)).eval()
    batch = run_of(View.SAGITTAL_T1, slice(0, 5))
    features = batch.features.clone().requires_grad_(True)
    logits = model(batch.images, features, batch.lengths).pointer_logits
    (gradient,) = torch.autograd.grad(logits[0, 0], features)
    assert (gradient.abs().amax(dim=1) > 0).all()


def test_an_encoder_of_the_pointers_own_leaves_the_heatmaps_encoder_alone() -> None:
    model = tiny(View.SAGITTAL_T2, TINY.model_copy(update={"pointer_encoder": "test_resnet"}))
    batch = run_of(View.SAGITTAL_T2, slice(4, 7))
    model(batch.images, batch.features, batch.lengths).pointer_logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.own_encoder.parameters())
    assert all(p.grad is None or not p.grad.any() for p in model.encoder.parameters())


@pytest.mark.parametrize("change", POINTERS.values(), ids=POINTERS)
def test_a_view_of_one_slice_has_an_answer(change: dict[str, str]) -> None:
    model = tiny(View.SAGITTAL_T2, TINY.model_copy(update=change)).eval()
    batch = run_of(View.SAGITTAL_T2, slice(6, 7))
    with torch.inference_mode():
        said = model(batch.images, batch.features, batch.lengths)
    assert torch.isfinite(said.heatmap_logits).all()
    assert torch.isfinite(said.pointer_logits).all()


def test_a_decoder_of_the_wrong_depth_is_refused() -> None:
    wrong = TINY.model_copy(update={"decoder_channels": (16, 16)})
    with pytest.raises(ConfigError, match="must have 1 entries"):
        build_detector(View.SAGITTAL_T2, wrong)


def test_the_default_detector_weighs_less_than_eight_megabytes_in_half_precision() -> None:
    model = build_detector(View.SAGITTAL_T2, DetectorSettings())
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 8e6


def test_saved_equals_reloaded_and_half_precision_stays_close(tmp_path: Path) -> None:
    model = tiny(View.AXIAL_T2).eval()
    batch = run_of(View.AXIAL_T2, slice(0, 6))
    with torch.inference_mode():
        before = model(batch.images, batch.features, batch.lengths)
    weights = model.state_dict()
    for name, kept, tolerance in (
        ("full", weights, 0.0),
        ("half", {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}, 5e-2),
    ):
        folder = tmp_path / name
        folder.mkdir()
        DetectorMember(view="axial_t2", seed=0, detector=TINY).to_yaml(folder / CONFIG)
        save_weights(kept, folder / WEIGHTS)
        again = load_detector(folder)
        assert not again.training
        assert again.settings == TINY
        assert load_detector(folder, image_size=96).settings.image_size == 96
        with torch.inference_mode():
            after = again(batch.images, batch.features, batch.lengths)
        for ours, theirs in zip(before, after, strict=True):
            torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)


@pytest.mark.parametrize("view", [View.SAGITTAL_T1, View.AXIAL_T2])
def test_overfits_one_batch(view: View) -> None:
    """One study: every point on its slice, 90 % within 5 px of the 256 grid."""
    seen = arrays(view, step=2)
    batch = whole_view(seen, TINY)
    model = tiny(view)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    losses = []
    for _ in range(90):
        optimizer.zero_grad()
        loss = detector_loss(model(batch.images, batch.features, batch.lengths), batch)["loss"]
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    errors = study_errors(model.eval(), seen)
    assert len(errors) == 10
    assert (errors[:, 2] < 0.5).all()
    assert np.mean(errors[:, 1] < 5.0) >= 0.9
