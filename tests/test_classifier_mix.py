"""Cutmix and mixup of crops and targets."""

import numpy as np
import pytest
import torch

from fake_crops import CROPS, NO_CHANGES, fake_studies
from lumbargrade.classifier.dataset import to_batch
from lumbargrade.classifier.mix import Mix, apply_mix, clipped_box, draw_mix
from lumbargrade.config import AugmentSettings
from lumbargrade.labels import MISSING_GRADE

MIXUP = NO_CHANGES.model_copy(update={"mixup_probability": 1.0})


@pytest.mark.parametrize(
    ("centre", "share", "expected"),
    [
        ((32, 32), 0.25, (16, 48, 16, 48)),
        ((0, 32), 0.25, (0, 16, 16, 48)),
        ((64, 64), 0.25, (48, 64, 48, 64)),
        ((20, 20), 0.0, (20, 20, 20, 20)),
        ((32, 32), 1.0, (0, 64, 0, 64)),
    ],
)
def test_box_is_clipped_at_the_border(
    centre: tuple[int, int], share: float, expected: tuple[int, int, int, int]
) -> None:
    assert clipped_box(np.array(centre), share, 64) == expected


def test_lambda_is_the_share_of_own_pixels_after_clipping() -> None:
    studies = fake_studies(64)
    mix = draw_mix(studies, CROPS, AugmentSettings(), seed=0, epoch=0)
    images = torch.arange(64.0)[:, None, None, None, None].expand(64, 25, 5, 32, 32)
    mixed, targets = apply_mix(images, to_batch(studies), mix)
    own = (mixed == images).float().mean(dim=(1, 2, 3, 4))
    torch.testing.assert_close(own, mix.kept)
    assert 0.3 < mix.kept.mean() < 0.9
    torch.testing.assert_close(targets.sum(dim=-1), torch.ones(64, 25))


def test_one_box_serves_all_crops_of_a_study() -> None:
    studies = fake_studies(2)
    mix = draw_mix(studies, CROPS, AugmentSettings(), seed=0, epoch=0)
    images = torch.stack([torch.zeros(25, 5, 32, 32), torch.ones(25, 5, 32, 32)])
    mixed, _ = apply_mix(images, to_batch(studies), mix)
    assert (mixed == mixed[:, :1, :1]).all()


def test_a_cell_is_mixed_only_where_both_crops_and_both_labels_exist() -> None:
    one, two = fake_studies(2)
    one.labels[:] = 0
    two.labels[:] = 2
    one.labels[1] = MISSING_GRADE
    two.labels[2] = MISSING_GRADE
    two.slice_present[3] = False
    box = torch.tensor([[0, 16, 0, 32], [0, 0, 0, 0]])
    mix = Mix(box=box, kept=torch.tensor([0.5, 1.0]), blended=torch.tensor([False, False]))
    images = torch.stack([torch.zeros(25, 5, 32, 32), torch.ones(25, 5, 32, 32)])
    mixed, targets = apply_mix(images, to_batch([one, two]), mix)
    assert targets[0, :5].tolist() == [
        [0.5, 0, 0.5],
        [0, 0, 0],
        [1, 0, 0],
        [1, 0, 0],
        [0.5, 0, 0.5],
    ]
    pasted = mixed[0].mean(dim=(1, 2, 3))[:5]
    assert pasted.tolist() == [0.5, 0, 0, 0, 0.5]


def test_mixup_blends_pixels_and_targets_by_one_share() -> None:
    one, two = fake_studies(2)
    one.labels[:], two.labels[:] = 0, 2
    two.slice_present[3] = False
    mix = Mix(
        box=torch.zeros(2, 4, dtype=torch.int64),
        kept=torch.tensor([0.75, 1.0]),
        blended=torch.tensor([True, False]),
    )
    images = torch.stack([torch.zeros(25, 5, 32, 32), torch.ones(25, 5, 32, 32)])
    mixed, targets = apply_mix(images, to_batch([one, two]), mix)
    assert (mixed[0, 0] == 0.25).all()
    assert targets[0, 0].tolist() == [0.75, 0, 0.25]
    assert (mixed[0, 3] == 0).all()
    assert targets[0, 3].tolist() == [1, 0, 0]
    assert torch.equal(mixed[1], images[1])


def test_mixup_takes_the_place_of_cutmix_and_draws_from_a_beta() -> None:
    studies = fake_studies(200)
    settings = AugmentSettings(cutmix_probability=1.0, mixup_probability=0.5, mixup_alpha=2.0)
    mix = draw_mix(studies, CROPS, settings, seed=0, epoch=0)
    boxed = (mix.box[:, 1] > mix.box[:, 0]) & (mix.box[:, 3] > mix.box[:, 2])
    assert 0.4 < mix.blended.float().mean() < 0.6
    assert not (boxed & mix.blended).any()
    assert 0.4 < mix.kept[mix.blended].mean() < 0.6
    assert 0.17 < mix.kept[mix.blended].std() < 0.28  # Beta(2, 2): 0.224


def test_mixup_leaves_the_boxes_of_cutmix_as_they_were() -> None:
    studies = fake_studies(20)
    alone = draw_mix(studies, CROPS, AugmentSettings(), seed=0, epoch=0)
    both = draw_mix(studies, CROPS, AugmentSettings(mixup_probability=0.5), seed=0, epoch=0)
    cut = ~both.blended
    assert cut.any()
    assert torch.equal(both.box[cut], alone.box[cut])


def test_a_mix_follows_from_seed_epoch_and_study_alone() -> None:
    one, two = fake_studies(2)
    together = draw_mix([one, two], CROPS, MIXUP, seed=0, epoch=0)
    alone = draw_mix([two], CROPS, MIXUP, seed=0, epoch=0)
    assert torch.equal(together.kept[1:], alone.kept)
    later = draw_mix([two], CROPS, MIXUP, seed=0, epoch=1)
    assert not torch.equal(alone.kept, later.kept)


@pytest.mark.parametrize("settings", [AugmentSettings(), MIXUP], ids=["cutmix", "mixup"])
def test_masks_are_mixed_as_their_images_are(settings: AugmentSettings) -> None:
    studies = fake_studies(4)
    batch, mix = to_batch(studies), draw_mix(studies, CROPS, settings, seed=0, epoch=0)
    images = batch.pixels.float()
    mixed, targets = apply_mix(images, batch, mix)
    both, same_targets = apply_mix(torch.stack([images, images], dim=2), batch, mix)
    assert torch.equal(both[:, :, 0], mixed)
    assert torch.equal(both[:, :, 1], mixed)
    assert torch.equal(same_targets, targets)
