"""Crops in memory for classifier tests: bright squares whose size follows the grade."""

import numpy as np

from lumbargrade.classifier.dataset import StudyCrops
from lumbargrade.config import AugmentSettings, ClassifierSettings, FitSettings
from lumbargrade.crop_settings import CropSettings

CROPS = CropSettings(slices=5, size_px=32, side_mm=32.0)

NO_CHANGES = AugmentSettings(
    cutmix_probability=0,
    mirror_probability=0,
    affine_probability=0,
    point_jitter_mm=0,
    slice_jitter_probability=0,
    brightness_contrast_probability=0,
    view_dropout=0,
)

TINY = ClassifierSettings(
    encoder="test_resnet",
    lstm_hidden=8,
    fit=FitSettings(epochs=2, batch_size=2, learning_rate=3e-3),
    augment=NO_CHANGES,
)


def fake_study(study_id: str, crops: CropSettings = CROPS, *, seed: int = 0) -> StudyCrops:
    """Grade g is a square of 4 + 4 g pixels in the middle of noise, on every slice."""
    rng = np.random.default_rng([seed, int(study_id)])
    labels = rng.integers(0, 3, 25)
    size = crops.size_px
    pixels = rng.integers(0, 60, (25, crops.slices, size, size), dtype=np.uint8)
    for cell, grade in enumerate(labels):
        first, end = size // 2 - 2 - 2 * grade, size // 2 + 2 + 2 * grade
        pixels[cell, :, first:end, first:end] = 220
    return StudyCrops(
        study_id=study_id,
        pixels=pixels,
        slice_present=np.ones((25, crops.slices), dtype=bool),
        labels=labels,
    )


def fake_studies(count: int, crops: CropSettings = CROPS, *, first: int = 1) -> list[StudyCrops]:
    return [fake_study(str(first + k), crops) for k in range(count)]
