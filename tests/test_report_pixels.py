import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_records import make_prediction, make_study
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import View
from lumbargrade.records import Series, SliceImage, Study, ViewVolume
from lumbargrade.report.html import render_report
from lumbargrade.report.pixels import STEPS, encode_slices, to_byte_range, value_range
from lumbargrade.volumes import view_volumes

PAGE_LIMIT = 15_000_000


def decode(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def noisy_study(shapes: dict[View, tuple[int, int]], *, noise: float = 40.0) -> Study:
    """Smooth 12-bit pictures with noise; per view the number of slices and their matrix."""
    rng = np.random.default_rng(0)
    all_series = []
    for view, (count, side) in shapes.items():
        wave = np.sin(np.linspace(0, 20, side))
        smooth = 900 + 500 * np.outer(wave, wave)
        base, slices = _series_of(view, count), []
        for number, affine in enumerate(base):
            pixels = smooth + noise * rng.standard_normal((side, side), dtype=np.float32)
            slices.append(
                SliceImage(
                    pixels=np.clip(pixels, 0, 4095).astype(np.float32),
                    affine=affine,
                    stack=0,
                    sop_instance_uid=f"{view}.{number}",
                    instance_number=number + 1,
                    frame_number=None,
                    path=Path("unused"),
                )
            )
        all_series.append(
            Series(
                series_uid=f"1.{view}",
                series_id=str(view),
                description=str(view),
                view=view,
                reason="made",
                slices=tuple(slices),
            )
        )
    return replace(make_study(), series=tuple(all_series))


def _series_of(view: View, count: int) -> list[np.ndarray]:
    if view is View.AXIAL_T2:
        return [slice_affine((0, 0, -z), (1, 0, 0, 0, 1, 0), (0.4, 0.4), 1.0) for z in range(count)]
    return [slice_affine((x, 0, 0), (0, 1, 0, 0, 0, -1), (0.3, 0.3), 3.0) for x in range(count)]


def test_every_slice_of_every_view_is_there_at_its_own_size() -> None:
    prediction = make_prediction(pixels=48)
    encoded = encode_slices(prediction.study, prediction.volumes)
    for view, volume in prediction.volumes.items():
        assert len(encoded.images[view]) == len(volume.slices)
        for text, pixels in zip(encoded.images[view], volume.slices, strict=True):
            assert decode(text).shape == np.shape(pixels)
    assert encoded.step == STEPS[0]


def test_the_range_is_wider_than_the_window_and_shared_by_all_slices() -> None:
    study = noisy_study({View.SAGITTAL_T2: (4, 64)})
    values = value_range(study.series[0])
    pixels = np.stack([item.pixels for item in study.series[0].slices])
    first, last = np.percentile(pixels, [1, 99])
    near = 0.05 * (last - first)
    assert values.window_low == pytest.approx(first, abs=near)
    assert values.window_high == pytest.approx(last + 0.25 * (last - first), abs=near)
    assert values.low == pytest.approx(max(pixels.min(), first - (last - first) / 2), abs=near)
    assert values.high == pytest.approx(min(pixels.max(), last + 0.75 * (last - first)), abs=near)
    stored = values.low + to_byte_range(pixels, values) / 255 * (values.high - values.low)
    inside = (pixels > values.low) & (pixels < values.high)
    assert np.abs(stored - pixels)[inside].max() <= 0.51 * (values.high - values.low) / 255


def test_one_padding_value_far_below_does_not_spoil_the_range() -> None:
    study = noisy_study({View.SAGITTAL_T2: (4, 64)})
    first = study.series[0].slices[0]
    pixels = first.pixels.copy()
    pixels[0, 0] = -32768.0
    series = replace(
        study.series[0], slices=(replace(first, pixels=pixels), *study.series[0].slices[1:])
    )
    values = value_range(series)
    width = (values.window_high - values.window_low) / 1.25
    assert values.low == pytest.approx(values.window_low - width / 2)


def test_a_constant_series_has_a_range_all_the_same() -> None:
    study = noisy_study({View.SAGITTAL_T2: (2, 32)})
    flat = tuple(replace(item, pixels=item.pixels * 0 + 7) for item in study.series[0].slices)
    values = value_range(replace(study.series[0], slices=flat))
    assert values.high > values.low
    assert values.window_high > values.window_low


def test_less_room_means_less_sharpness_never_fewer_slices() -> None:
    study = noisy_study({View.SAGITTAL_T2: (6, 700), View.AXIAL_T2: (12, 400)})
    volumes = view_volumes(study)
    sharp = encode_slices(study, volumes)
    assert sharp.step == STEPS[0]
    total = sum(len(text) for texts in sharp.images.values() for text in texts)
    steps = []
    for share in (1.0, 0.7, 0.3, 0.1):
        encoded = encode_slices(study, volumes, limit=int(total * share))
        steps.append(STEPS.index(encoded.step))
        assert [len(encoded.images[view]) for view in volumes] == [6, 12]
        assert sum(len(t) for ts in encoded.images.values() for t in ts) <= total * share
        sizes = {max(decode(text).shape) for text in encoded.images[View.SAGITTAL_T2]}
        assert sizes == {min(700, encoded.step.longest_side)}
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert len(set(steps)) >= 3


def test_a_study_that_cannot_fit_gets_the_last_step() -> None:
    study = noisy_study({View.SAGITTAL_T2: (3, 300)})
    encoded = encode_slices(study, view_volumes(study), limit=100)
    assert encoded.step == STEPS[-1]
    assert len(encoded.images[View.SAGITTAL_T2]) == 3


def test_first_step_keeps_the_picture_within_two_percent_of_its_range() -> None:
    study = noisy_study({View.SAGITTAL_T2: (2, 256)})
    encoded = encode_slices(study, view_volumes(study))
    values = encoded.ranges[View.SAGITTAL_T2][0]
    for text, item in zip(encoded.images[View.SAGITTAL_T2], study.series[0].slices, strict=True):
        error = decode(text).astype(float) - to_byte_range(item.pixels, values)
        assert np.sqrt((error**2).mean()) < 0.02 * 255


@pytest.mark.slow
def test_a_big_study_stays_below_15_mb() -> None:
    study = noisy_study(
        {View.SAGITTAL_T1: (27, 1024), View.SAGITTAL_T2: (27, 1024), View.AXIAL_T2: (128, 512)},
        noise=60.0,
    )
    small = make_prediction()
    volumes = {view: _view_volume(study, view) for view in View}
    no_points = replace(small.grades, points=(None,) * 25)
    prediction = replace(small, study=study, volumes=volumes, grades=no_points, crops=(None,) * 25)
    text = render_report(prediction)
    assert len(text.encode()) <= PAGE_LIMIT
    assert text.count('"instance":') == 182


def _view_volume(study: Study, view: View) -> ViewVolume:
    (series,) = study.series_of(view)
    count = len(series.slices)
    return ViewVolume(
        view=view,
        slices=tuple(np.zeros(item.pixels.shape, np.uint8) for item in series.slices),
        affines=np.stack([item.affine for item in series.slices]),
        stack_ids=np.zeros(count, np.int64),
        series_index=np.zeros(count, np.int64),
        slice_index=np.arange(count),
    )
