import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from torch import Tensor

from fake_crops import CROPS, NO_CHANGES, TINY, fake_studies, fake_study
from fake_prepared import fake_landmarks, fake_volume
from lumbargrade.arrays import Labels
from lumbargrade.classifier.augment import (
    BLUR_PX,
    _blur_some,
    apply_changes,
    draw_changes,
    margin_px,
    mirror_study,
)
from lumbargrade.classifier.dataset import (
    CropBatch,
    StudyCrops,
    collect_crops,
    shuffled_groups,
    to_batch,
)
from lumbargrade.classifier.train import training_crop_settings
from lumbargrade.config import AugmentSettings
from lumbargrade.crop_settings import CropSettings, ViewSides
from lumbargrade.crops import cut_crops
from lumbargrade.labels import MIRROR_TARGET, TARGETS, View
from lumbargrade.records import Landmark, ViewVolume

ALL = AugmentSettings(
    view_dropout=0.3, horizontal_flip=0.5, vertical_flip=0.5, blur_probability=0.5
)
WIDE = training_crop_settings(CROPS, TINY.model_copy(update={"augment": ALL}))


def changed(
    studies: list[StudyCrops], settings: AugmentSettings, *, seed: int = 0, epoch: int = 0
) -> tuple[Tensor, CropBatch]:
    changes = draw_changes(studies, CROPS, settings, seed=seed, epoch=epoch)
    return apply_changes(to_batch(studies), changes, CROPS)


def test_no_changes_give_the_middle_of_the_wider_crop() -> None:
    studies = fake_studies(2, WIDE)
    images, batch = changed(studies, NO_CHANGES)
    margin = (WIDE.size_px - CROPS.size_px) // 2
    inner = slice(margin, margin + CROPS.size_px)
    expected = to_batch(studies).pixels[:, :, 1:-1, inner, inner] / 255
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)
    assert torch.equal(batch.labels, to_batch(studies).labels)


def test_changes_follow_from_seed_epoch_and_study_alone() -> None:
    one, two = fake_studies(2, WIDE)
    together, _ = changed([one, two], ALL)
    reversed_order, _ = changed([two, one], ALL)
    assert torch.equal(together[0], reversed_order[1])
    for other in (changed([one], ALL, seed=1), changed([one], ALL, epoch=1)):
        assert not torch.equal(together[0], other[0][0])


def test_margins_hold_every_shift_and_rotation() -> None:
    """Two standard deviations of shift: hardly a pixel of a bright image turns black."""
    study = fake_study("1", WIDE)
    white = dataclasses.replace(study, pixels=np.full_like(study.pixels, 255))
    settings = AugmentSettings(brightness_contrast_probability=0, view_dropout=0)
    images, _ = changed([white], settings)
    assert (images < 0.999).float().mean() < 0.01


def test_shifts_are_as_many_mm_in_a_view_with_smaller_crops() -> None:
    """Half the side is half a pixel's mm, so the same draw is twice as many pixels there."""
    settings = NO_CHANGES.model_copy(update={"point_jitter_mm": 1.0})
    halved = CROPS.model_copy(update={"view_side_mm": ViewSides(axial_t2=CROPS.side_mm / 2)})
    assert margin_px(halved, settings) - margin_px(CROPS, settings) == 2
    study = fake_study("1", WIDE)
    usual, own = (
        draw_changes([study], crops, settings, seed=0, epoch=0).theta[0, :, :, 2]
        for crops in (CROPS, halved)
    )
    assert usual.abs().min() > 0
    torch.testing.assert_close(own[:15], usual[:15])
    torch.testing.assert_close(own[15:], 2 * usual[15:])


def test_mirroring_swaps_images_slices_conditions_and_labels_together() -> None:
    study = fake_study("1")
    study.slice_present[7, :2] = False  # left foraminal L3/L4 (sagittal)
    batch = to_batch([study])
    mirrored = mirror_study(batch)
    assert torch.equal(mirrored.labels[0], batch.labels[0, MIRROR_TARGET])
    right_foraminal, left_foraminal = mirrored.pixels[0, 12], batch.pixels[0, 7]
    assert torch.equal(right_foraminal, left_foraminal.flip(0))
    assert mirrored.slice_present[0, 12].tolist() == [True, True, True, False, False]
    right_recess, left_recess = mirrored.pixels[0, 22], batch.pixels[0, 17]
    assert torch.equal(right_recess, left_recess.flip(-1))
    assert torch.equal(mirrored.pixels[0, 2], batch.pixels[0, 2].flip(0))
    twice = mirror_study(mirrored)
    assert all(torch.equal(a, b) for a, b in zip(twice, batch, strict=True))


def test_a_jitter_that_would_lose_a_crop_is_not_made() -> None:
    study = fake_study("1", WIDE)
    study.slice_present[:] = False
    study.slice_present[:, 1] = True  # the first slice of the unjittered crop
    settings = NO_CHANGES.model_copy(update={"slice_jitter_probability": 1.0})
    _, batch = changed([study], settings)
    assert batch.slice_present.any(dim=2).all()
    assert batch.slice_present[0, :, :2].any(dim=1).all()


def test_view_dropout_never_hides_everything() -> None:
    settings = NO_CHANGES.model_copy(update={"view_dropout": 0.9})
    hidden = 0
    for epoch in range(40):
        _, batch = changed([fake_study("1", WIDE)], settings, epoch=epoch)
        exists = batch.slice_present.any(dim=2)[0]
        assert exists.any()
        for view in (slice(0, 5), slice(5, 15), slice(15, 25)):
            assert exists[view].all() or not exists[view].any()
        hidden += int((~exists).sum())
    assert hidden > 0


def test_each_view_is_hidden_in_one_of_ten_draws_for_itself() -> None:
    """1,200 draws: the standard error of each share is 0.009."""
    study = fake_study("1", WIDE)
    first_cells = [0, 5, 15]
    draws = [
        draw_changes([study], CROPS, AugmentSettings(), seed=0, epoch=epoch).hidden[0, first_cells]
        for epoch in range(1200)
    ]
    hidden = torch.stack(draws).double()
    np.testing.assert_allclose(hidden.mean(dim=0), 0.1, atol=0.03)
    both = hidden.T @ hidden / len(hidden)
    np.testing.assert_allclose(both[[0, 0, 1], [1, 2, 2]], 0.01, atol=0.01)


def test_a_mirrored_study_is_the_study_cut_from_mirrored_images_and_points() -> None:
    """Left and right of images, points and labels are exchanged by one and the same swap."""
    rng = np.random.default_rng(0)
    volumes = {view: fake_volume(view, rng) for view in View}
    labels = rng.integers(0, 3, 25)
    crops = CropSettings(slices=3, size_px=16, side_mm=64.0)
    points = fake_landmarks()[:25] + rng.uniform(-6, 6, (25, 3))
    points[7] = np.nan
    mirrored_points = points[MIRROR_TARGET] * [-1, 1, 1]
    study = cut_study(volumes, points, labels, crops)
    mirrored = cut_study(
        {view: mirrored_volume(volume) for view, volume in volumes.items()},
        mirrored_points, labels[MIRROR_TARGET], crops,
    )  # fmt: skip
    swapped = mirror_study(to_batch([study]))
    expected = to_batch([mirrored])
    assert torch.equal(swapped.labels, expected.labels)
    assert torch.equal(swapped.slice_present, expected.slice_present)
    difference = (swapped.pixels.int() - expected.pixels.int()).abs()
    assert difference.max() <= 1  # rounding of the samples' places
    assert (difference > 0).float().mean() < 0.01
    assert not swapped.slice_present[0, MIRROR_TARGET[7]].any()


def cut_study(
    volumes: Mapping[View, ViewVolume], points: np.ndarray, labels: Labels, crops: CropSettings
) -> StudyCrops:
    landmarks = [
        Landmark(
            target=target,
            position_lps_mm=None if np.isnan(point).any() else point,
            score=1.0,
        )
        for target, point in zip(TARGETS, points, strict=True)
    ]
    return collect_crops("1", cut_crops(volumes, landmarks, crops), labels, crops)


def mirrored_volume(volume: ViewVolume) -> ViewVolume:
    """The same images of a patient whose left and right are exchanged, in the usual order."""
    reflect = np.diag([-1.0, 1, 1, 1])
    affines = reflect @ volume.affines
    if volume.view is View.AXIAL_T2:
        columns = volume.slices[0].shape[1]
        affines[:, :, 3] += affines[:, :, 2] * (columns - 1)
        affines[:, :, 2] *= -1
        return replace(volume, slices=[item[:, ::-1] for item in volume.slices], affines=affines)
    affines = affines[::-1].copy()
    affines[:, :, 0] *= -1
    return replace(volume, slices=volume.slices[::-1], affines=affines)


def test_masks_move_with_their_images_and_keep_their_brightness() -> None:
    """Image and mask alike are turned, shifted, mirrored and taken from other slices."""
    settings = ALL.model_copy(
        update={"blur_probability": 0.0, "brightness_contrast_probability": 0}
    )
    studies = fake_studies(3, WIDE)
    doubled = [
        replace(study, pixels=np.stack([study.pixels, study.pixels], axis=1)) for study in studies
    ]
    images, batch = changed(studies, settings)
    both, with_masks = changed(doubled, settings)
    assert both.shape == (3, 25, 2, *images.shape[2:])
    assert torch.equal(with_masks.slice_present, batch.slice_present)
    torch.testing.assert_close(both[:, :, 0], images)
    torch.testing.assert_close(both[:, :, 1], images)
    relit, _ = changed(doubled, ALL)
    torch.testing.assert_close(relit[:, :, 1], images)
    assert (relit[:, :, 0] - images).abs().max() > 0.05


def test_order_of_studies_does_not_change_the_batches() -> None:
    studies = fake_studies(7)
    groups = [
        [[study.study_id for study in group] for group in shuffled_groups(s, 3, seed=0, epoch=1)]
        for s in (studies, studies[::-1])
    ]
    assert groups[0] == groups[1]
    assert sorted(chain(*groups[0])) == sorted(study.study_id for study in studies)


def test_blur_spreads_a_bright_pixel_as_a_gaussian_and_keeps_its_sum() -> None:
    images = torch.zeros(1, 25, 2, 33, 33)
    images[:, :, :, 16, 16] = 1.0
    width = torch.zeros(1, 25)
    width[0, 3], width[0, 4] = 1.0, 0.5
    blurred = _blur_some(images, width)
    assert torch.equal(blurred[0, 0], images[0, 0])
    torch.testing.assert_close(blurred.sum(dim=(2, 3, 4)), images.sum(dim=(2, 3, 4)))
    plane = blurred[0, 3, 1]
    torch.testing.assert_close(plane, plane.T)
    ratio = float(plane[16, 17] / plane[16, 16])
    assert ratio == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert float(blurred[0, 4, 0, 16, 17] / blurred[0, 4, 0, 16, 16]) == pytest.approx(np.exp(-2.0))


def test_blur_is_drawn_for_the_asked_share_of_crops() -> None:
    settings = NO_CHANGES.model_copy(update={"blur_probability": 0.3})
    studies = fake_studies(40, WIDE)
    widths = draw_changes(studies, CROPS, settings, seed=0, epoch=0).blur_px
    blurred = widths > 0
    assert 0.25 < blurred.float().mean() < 0.35
    assert widths[blurred].min() >= BLUR_PX[0]
    assert widths.max() <= BLUR_PX[1]
