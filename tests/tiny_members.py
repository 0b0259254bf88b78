"""A cross-validated recipe small enough to be trained in seconds, with several members."""

from typing import Any

DETECTOR = {
    "encoder": "test_resnet",
    "encoder_depth": 4,
    "decoder_channels": [16, 8],
    "image_size": 64,
    "lstm_hidden": 8,
    "train_slices": 4,
    "fit": {"epochs": 1, "batch_size": 2, "learning_rate": 1.0e-3},
}
CLASSIFIER = {
    "encoder": "test_resnet",
    "lstm_hidden": 8,
    "augment": {"rotate_deg": 5.0},
    "fit": {"epochs": 1, "batch_size": 2, "learning_rate": 1.0e-3},
}
TINY: dict[str, Any] = {
    "name": "tiny-members",
    "seed": 3,
    "data_licence": "Apache-2.0",
    "folds": 2,
    "fold_validation": 0.2,
    "sagittal_t2": DETECTOR,
    "sagittal_t1": DETECTOR,
    "axial_t2": DETECTOR,
    "crops": {"slices": 3, "size_px": 16, "side_mm": 64.0},
    "classifier": CLASSIFIER,
    "detectors": {"short": {}, "long": {"seed": 4, "axial_t2": {"max_slices": 20}}},
    "classifiers": {
        "plain": {},
        "two-step": {
            "points": "long",
            "classifier": {"weighted_fit": {"epochs": 1, "batch_size": 2}},
        },
    },
    "ensemble": {"answers": "weighted"},
}
