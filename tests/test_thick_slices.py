from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_geometry import rotation
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import View
from lumbargrade.records import Series, SliceImage, Study
from lumbargrade.thick_slices import thick_series, thick_study

SAGITTAL = np.array([0, 1, 0, 0, 0, -1.0])
OBLIQUE = (SAGITTAL.reshape(2, 3) @ rotation(np.array([0.0, 0, 1]), 12.0).T).ravel()


def stack_of(
    count: int,
    step_mm: float,
    thickness_mm: float | None,
    *,
    orientation: np.ndarray = SAGITTAL,
    stack: int = 0,
    reverse: bool = False,
) -> tuple[SliceImage, ...]:
    """Slices whose value is their number plus noise of standard deviation 1."""
    rng = np.random.default_rng(stack)
    base = slice_affine((5.0, -40.0, 60.0), orientation, (0.8, 0.8), step_mm)
    normal = base[:3, 0] / step_mm * (-1 if reverse else 1)
    slices = []
    for index in range(count):
        affine = base.copy()
        affine[:3, 3] += normal * step_mm * index
        slices.append(
            SliceImage(
                pixels=(index + rng.standard_normal((30, 30))).astype(np.float32),
                affine=affine,
                stack=stack,
                sop_instance_uid=f"1.2.{stack}.{index}",
                instance_number=index + 1,
                frame_number=None,
                path=Path(f"{index}.dcm"),
                thickness_mm=thickness_mm,
            )
        )
    return tuple(slices)


def series_of(slices: tuple[SliceImage, ...], view: View = View.SAGITTAL_T2) -> Series:
    return Series(
        series_uid="1.2", series_id="1", description="", view=view, reason="", slices=slices
    )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("orientation", [SAGITTAL, OBLIQUE])
def test_four_slices_of_one_mm_become_one_at_the_place_of_a_stored_one(
    orientation: np.ndarray, reverse: bool
) -> None:
    stored = stack_of(38, 1.0, 1.0, orientation=orientation, reverse=reverse)
    thick = thick_series(series_of(stored)).slices
    assert len(thick) == 9
    by_uid = {item.sop_instance_uid: item for item in stored}
    numbers = [item.instance_number or 0 for item in thick]
    np.testing.assert_array_equal(np.diff(numbers), 4)
    assert abs((numbers[0] - 1) - (38 - numbers[-1])) <= 1, "in the middle of the stack"
    for item in thick:
        twin = by_uid[item.sop_instance_uid]
        np.testing.assert_array_equal(item.affine[:, 1:], twin.affine[:, 1:])
        np.testing.assert_allclose(item.affine[:3, 0], 4 * twin.affine[:3, 0])
        assert item.instance_number == twin.instance_number
        assert item.thickness_mm == 4.0


def test_an_average_is_centred_on_its_slice_and_half_as_noisy() -> None:
    thick = thick_series(series_of(stack_of(41, 1.0, 1.0))).slices
    for item in thick:
        assert item.pixels.dtype == np.float32
        assert item.pixels.mean() == pytest.approx((item.instance_number or 0) - 1, abs=0.06)
        # three whole slices and two halves: sqrt(3.5) / 4
        assert item.pixels.std() == pytest.approx(0.468, abs=0.05)


@pytest.mark.parametrize(
    ("step_mm", "thickness_mm", "count"),
    [(1.0, 1.0, 4), (0.8, 1.6, 4), (1.5, 1.5, 3), (1.9, 1.9, 2)],
)
def test_averages_are_about_four_mm_thick(step_mm: float, thickness_mm: float, count: int) -> None:
    thick = thick_series(series_of(stack_of(40, step_mm, thickness_mm))).slices
    assert np.linalg.norm(thick[0].affine[:3, 0]) == pytest.approx(count * step_mm)
    assert 3.5 <= thickness_mm + (count - 1) * step_mm <= 4.6


@pytest.mark.parametrize(
    ("step_mm", "thickness_mm"),
    [(4.0, 3.5), (0.9, 3.5), (2.0, 2.0), (1.0, None), (1.0, 0.0), (2.0, 1.0)],
    ids=["usual", "overlapping", "two mm", "thickness unknown", "thickness 0", "gaps"],
)
def test_other_slices_stay_as_they_are(step_mm: float, thickness_mm: float | None) -> None:
    series = series_of(stack_of(40, step_mm, thickness_mm))
    assert thick_series(series) is series


def test_axial_slices_stay_as_they_are() -> None:
    series = series_of(stack_of(40, 1.0, 1.0), View.AXIAL_T2)
    assert thick_series(series) is series


def test_too_few_or_unlike_slices_stay_as_they_are() -> None:
    few = series_of(stack_of(4, 1.0, 1.0))
    assert thick_series(few) is few
    slices = stack_of(20, 1.0, 1.0)
    odd = replace(slices[3], pixels=slices[3].pixels[:20])
    unlike = series_of((*slices[:3], odd, *slices[4:]))
    assert thick_series(unlike) is unlike


def test_a_thick_stack_beside_a_thin_one_stays() -> None:
    thin, usual = stack_of(21, 1.0, 1.0), stack_of(9, 4.0, 4.0, stack=1)
    slices = thick_series(series_of((*thin, *usual))).slices
    assert slices[-9:] == usual
    assert [item.stack for item in slices] == [0] * 5 + [1] * 9


def test_a_missing_slice_moves_no_average_and_weighs_nothing() -> None:
    whole = stack_of(41, 1.0, 1.0)
    gap = (*whole[:19], *whole[20:])
    for item in thick_series(series_of(gap)).slices:
        place = item.affine[:3, 3] - whole[(item.instance_number or 0) - 1].affine[:3, 3]
        np.testing.assert_allclose(place, 0.0, atol=1e-12)
        assert item.pixels.mean() == pytest.approx((item.instance_number or 0) - 1, abs=0.6)


def test_a_study_without_thin_slices_is_itself() -> None:
    usual = series_of(stack_of(9, 4.0, 4.0))
    study = Study(study_uid="1", study_id="1", series=(usual,), reports=())
    assert thick_study(study) is study
    thin = replace(study, series=(usual, series_of(stack_of(40, 1.0, 1.0), View.SAGITTAL_T1)))
    thick = thick_study(thin)
    assert thick.series[0] is usual
    assert len(thick.series[1].slices) == 9
