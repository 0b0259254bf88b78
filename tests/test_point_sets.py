from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from fake_prepared import PIXEL_MM, fake_landmarks, fake_volume
from lumbargrade.classifier.augment import mirror_study
from lumbargrade.classifier.dataset import collect_crops, to_batch
from lumbargrade.classifier.infer import Classifier, grade_crops, grade_point_sets, grade_studies
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.config import ClassifierSettings
from lumbargrade.crop_settings import CropSettings, ViewSides
from lumbargrade.crops import cut_crops
from lumbargrade.labels import MIRROR_TARGET, TARGETS, View
from lumbargrade.point_sets import mean_landmarks, shared_crops
from lumbargrade.records import Landmark

CROPS = CropSettings(slices=3, size_px=16, side_mm=64.0)  # 4 mm a pixel
VOLUMES = {view: fake_volume(view, np.random.default_rng(0)) for view in View}


def landmarks(shift: Sequence[float] = (0, 0, 0), *, without: int | None = None) -> list[Landmark]:
    positions = fake_landmarks()[:25] + np.array(shift)
    return [
        Landmark(
            target=target,
            position_lps_mm=None if target.index == without else positions[target.index],
            score=0.5,
            flags=(),
        )
        for target in TARGETS
    ]


def test_the_mean_is_over_the_sets_that_have_a_point() -> None:
    mean = mean_landmarks([landmarks(), landmarks((2, 0, 4), without=7), landmarks((4, 0, 2))])
    truth = fake_landmarks()
    for target, shift in ((0, (2, 0, 2)), (7, (2, 0, 1))):
        position = mean[target].position_lps_mm
        assert position is not None
        np.testing.assert_allclose(position, truth[target] + np.array(shift))
    none = mean_landmarks([landmarks(without=3), landmarks(without=3)])
    assert none[3].position_lps_mm is None


@pytest.mark.parametrize(
    ("shift", "merge_px", "shared"),
    [
        ((0, 3.9, 0), 1.0, range(25)),  # in the plane of every view
        ((0, 4.1, 0), 1.0, ()),
        ((0, 4.1, 0), 1.1, range(25)),
        ((0, 0, 0), 0.0, ()),
        ((0, 0, 2.4), 1.0, range(15)),  # across the axial slices, half a spacing away or more
        ((5, 0, 0), 2.0, range(15, 25)),  # across the sagittal ones
    ],
)
def test_points_share_a_crop_on_one_slice_within_the_given_distance(
    shift: tuple[float, ...], merge_px: float, shared: Sequence[int]
) -> None:
    assert CROPS.side_mm / CROPS.size_px == PIXEL_MM
    base = landmarks((0.0, 0.0, 0.2))  # off the planes of the slices
    moved = landmarks((shift[0], shift[1], shift[2] + 0.2))
    same = shared_crops(VOLUMES, [base, moved], CROPS, merge_px)
    assert same[0].tolist() == [0] * 25
    assert np.flatnonzero(same[1] == 0).tolist() == list(shared)
    halved = CROPS.model_copy(update={"view_side_mm": ViewSides(axial_t2=CROPS.side_mm / 2)})
    of_halved = shared_crops(VOLUMES, [base, moved], halved, merge_px)
    nearer = shared_crops(VOLUMES, [base, moved], CROPS, merge_px / 2)
    assert of_halved[:, :15].tolist() == same[:, :15].tolist()
    assert of_halved[:, 15:].tolist() == nearer[:, 15:].tolist()


def test_a_shared_crop_is_encoded_once_and_answers_are_those_of_the_crop_given() -> None:
    torch.manual_seed(0)
    settings = ClassifierSettings(encoder="test_resnet", lstm_hidden=8)
    model = GradeClassifier(settings).eval()
    classifier = Classifier(model=model, crops=CROPS, weighted=False, device=torch.device("cpu"))
    seen: list[int] = []
    model.encoders[0].register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    sets = [landmarks(), landmarks((0, 1, 0)), landmarks((0, 30, 0), without=24)]
    same = shared_crops(VOLUMES, sets, CROPS, 1.0)
    crops = [cut_crops(VOLUMES, item, CROPS) for item in sets]
    together = grade_point_sets(classifier, crops, same)
    assert seen == [2 * 25 * CROPS.slices]
    alone = [grade_crops(classifier, of_set) for of_set in crops]
    np.testing.assert_allclose(together[0], alone[0], atol=1e-6)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-6)
    np.testing.assert_allclose(together[2], alone[2], atol=1e-6)
    assert np.abs(alone[2] - alone[0]).max() > 1e-4


def test_asked_about_mirror_images_too_a_study_and_its_mirror_image_get_the_same_answers() -> None:
    torch.manual_seed(0)
    model = GradeClassifier(ClassifierSettings(encoder="test_resnet", lstm_hidden=8)).eval()
    one_way, both = (
        Classifier(
            model=model, crops=CROPS, weighted=False, mirrored=mirrored, device=torch.device("cpu")
        )
        for mirrored in (False, True)
    )
    study = collect_crops("1", cut_crops(VOLUMES, landmarks(), CROPS), np.zeros(25, int), CROPS)
    swapped = mirror_study(to_batch([study]))
    mirror = replace(study, pixels=swapped.pixels[0].numpy())
    answers = grade_studies(both, [study, mirror])
    np.testing.assert_array_equal(answers[1], answers[0][MIRROR_TARGET])
    alone = grade_studies(one_way, [study, mirror])
    np.testing.assert_allclose(answers[0], (alone[0] + alone[1][MIRROR_TARGET]) / 2, atol=1e-9)
    assert np.abs(alone[1] - alone[0][MIRROR_TARGET]).max() > 1e-4

    sets = [landmarks(), landmarks((0, 1, 0), without=24)]  # 24's mirror image is 19
    crops = [cut_crops(VOLUMES, item, CROPS) for item in sets]
    together = grade_point_sets(both, crops, shared_crops(VOLUMES, sets, CROPS, 1.0))
    for given, expected in zip(together, (crops[0], [*crops[0][:24], None]), strict=True):
        np.testing.assert_allclose(given, grade_crops(both, expected), atol=1e-6)
