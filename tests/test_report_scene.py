"""What the page's viewer is told: the same places as in grades.json, whatever the stored layout."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fake_records import FakePredictor, make_prediction, make_study
from lumbargrade.geometry import Plane, slice_affine
from lumbargrade.labels import TARGETS, View
from lumbargrade.outputs import grades_document
from lumbargrade.prediction import Prediction
from lumbargrade.records import SliceImage
from lumbargrade.report.pixels import encode_slices
from lumbargrade.report.scene import canal_points, scene_document, side_words
from lumbargrade.volumes import to_display


def scene_of(prediction: Prediction) -> dict[str, Any]:
    return scene_document(prediction, encode_slices(prediction.study, prediction.volumes))


def turned(item: SliceImage, how: str) -> SliceImage:
    """The same slice as a scanner might store it: mirrored, upside down or transposed."""
    affine, pixels = item.affine.copy(), item.pixels
    rows, columns = pixels.shape
    if how == "mirrored":
        affine[:3, 3] += affine[:3, 2] * (columns - 1)
        affine[:3, 2] *= -1
        pixels = pixels[:, ::-1]
    elif how == "upside down":
        affine[:3, 3] += affine[:3, 1] * (rows - 1)
        affine[:3, 1] *= -1
        pixels = pixels[::-1]
    elif how == "transposed":
        affine[:, [1, 2]] = affine[:, [2, 1]]
        pixels = pixels.T
    return replace(item, affine=affine, pixels=np.ascontiguousarray(pixels))


@pytest.mark.parametrize("how", ["as it is", "mirrored", "upside down", "transposed"])
def test_a_scenes_points_show_the_stored_pixel_of_grades_json(how: str) -> None:
    study = make_study(pixels=59)  # no point half way between two pixels
    series = tuple(
        replace(item, slices=tuple(turned(one, how) for one in item.slices))
        for item in study.series
    )
    prediction = FakePredictor().run(replace(study, series=series))
    scene, document = scene_of(prediction), grades_document(prediction)
    views = {entry["view"]: entry for entry in scene["views"]}
    for target, row, entry in zip(TARGETS, document["grades"], scene["targets"], strict=True):
        assert entry["anchor"] == target.column
        if row["point"] is None:
            assert entry["slice"] is None
            continue
        shown = views[entry["view"]]["slices"][entry["slice"]]
        assert shown["instance"] == row["point"]["instance_number"]
        axes = np.stack([shown["down"], shown["right"]], axis=1)
        offset = np.subtract(row["point"]["position_lps_mm"], shown["origin"])
        place = np.linalg.lstsq(axes, offset, rcond=None)[0]
        np.testing.assert_allclose(axes @ place, offset, atol=1e-3)  # it lies in the plane
        stored = next(
            one
            for item in series
            for one in item.slices
            if one.sop_instance_uid == row["point"]["sop_instance_uid"]
        )
        plane = Plane.AXIAL if entry["view"] == View.AXIAL_T2 else Plane.SAGITTAL
        display = to_display(stored.pixels, stored.affine, plane)
        at = np.rint(place).astype(int)
        wanted = stored.pixels[round(row["point"]["row"]), round(row["point"]["column"])]
        assert display[at[0], at[1]] == wanted


def test_boxes_are_the_crops_in_millimetres() -> None:
    prediction = make_prediction()
    for target, entry in zip(TARGETS, scene_of(prediction)["targets"], strict=True):
        if entry["slice"] is None:
            continue
        corners = np.array(entry["box"]["corners"])
        sides = np.linalg.norm(np.diff(corners, axis=0, append=corners[:1]), axis=1)
        np.testing.assert_allclose(sides, 48.0, atol=1e-3)
        landmark = prediction.landmarks[target.index].position_lps_mm
        assert landmark is not None
        assert (
            np.abs(corners.mean(axis=0) - landmark).max() <= 3.0 + 1e-6
        )  # half a slice away at most
        assert entry["box"]["depth"] == 2


@pytest.mark.parametrize(
    ("x", "words"),
    [(0.5, "at the canal"), (9.0, "left of the canal, 9 mm"), (-12.0, "right of the canal, 12 mm")],
)
@pytest.mark.parametrize("flip", [False, True])
def test_a_sagittal_slice_names_the_patients_side(x: float, words: str, flip: bool) -> None:
    cosines = (0, -1, 0, 0, 0, -1) if flip else (0, 1, 0, 0, 0, -1)
    affine = slice_affine((x, 100 if flip else -100, 100), cosines, (1, 1), 4.0)
    assert side_words(affine, [np.array([0.0, 20.0, 0.0]), np.array([0.0, 22.0, -40.0])]) == words


def test_a_tilted_sagittal_slice_is_left_where_its_plane_passes_left() -> None:
    tilt = np.deg2rad(10)
    along = (np.sin(tilt), np.cos(tilt), 0, 0, 0, -1)
    affine = slice_affine((-20.0, -100.0, 100.0), along, (1, 1), 4.0)
    # The plane crosses y = 100 at x = -20 + 200 tan 10° = 15.3, 15.1 mm along its normal.
    assert side_words(affine, [np.array([0.0, 100.0, 0.0])]) == "left of the canal, 15 mm"


def test_without_points_no_side_is_claimed() -> None:
    affine = slice_affine((9, 0, 0), (0, 1, 0, 0, 0, -1), (1, 1), 4.0)
    assert side_words(affine, ()) == ""


@pytest.mark.parametrize("views", [(View.SAGITTAL_T1,), (View.SAGITTAL_T1, View.AXIAL_T2)])
def test_without_canal_points_the_midline_lies_between_two_sides(views: tuple[View, ...]) -> None:
    points = canal_points(make_prediction(views=views).grades.points)
    assert 4 <= len(points) <= 5
    for point in points:
        assert point[0] == pytest.approx(0.5, abs=3.0)


def test_a_missing_view_has_no_slices() -> None:
    scene = scene_of(make_prediction(views=(View.SAGITTAL_T2,)))
    assert [len(entry["slices"]) for entry in scene["views"]] == [0, 10, 0]
    assert sum(entry["slice"] is not None for entry in scene["targets"]) == 5
