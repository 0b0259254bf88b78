"""Which view a series shows, which are refused, and which of several serves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_studies import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    T1_TIMES,
    axial_blocks,
    edit,
    edit_all,
    series,
    slices,
    write_study,
)
from lumbargrade.dicom.files import find_studies
from lumbargrade.dicom.inspection import Inspection, inspect_study
from lumbargrade.dicom.write_mr import HeaderProfile, MrSeries, MrSlice, write_mr_series
from lumbargrade.labels import View
from lumbargrade.records import SeriesReport


def inspected(folder: Path) -> Inspection:
    (files,) = find_studies(folder)
    return inspect_study(files)


def report_of(
    folder: Path,
    images: Sequence[MrSlice],
    header: MrSeries,
    profile: HeaderProfile = HeaderProfile.HOSPITAL,
    **tags: Any,
) -> SeriesReport:
    """Write one series, change its tags, and see what becomes of it."""
    write_mr_series(folder, header, images, profile=profile)
    if tags:
        edit_all(folder, **tags)
    (report,) = inspected(folder).reports
    return report


def by_description(inspection: Inspection) -> dict[str, SeriesReport]:
    return {report.description: report for report in inspection.reports}


@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_a_complete_study_serves_three_views(tmp_path: Path, profile: HeaderProfile) -> None:
    write_study(tmp_path, profile)
    reports = inspected(tmp_path).reports
    assert sorted(report.view for report in reports if report.view and report.used) == sorted(View)
    axial = next(report for report in reports if report.view is View.AXIAL_T2)
    assert (axial.stacks, axial.slices) == (5, 25)
    np.testing.assert_allclose(axial.tilts_deg, [7, 4, 4, 12, 28], atol=0.01)


@pytest.mark.parametrize(
    ("echo_ms", "repetition_ms", "inversion_ms", "view", "words"),
    [
        (10.0, 600.0, None, View.SAGITTAL_T1, "T1 by TE 10 ms, TR 600 ms"),
        (7.0, 446.0, 0.0, View.SAGITTAL_T1, "T1 by"),
        (14.0, 746.0, None, View.SAGITTAL_T1, "T1 by"),
        (31.0, 2159.0, 785.0, View.SAGITTAL_T1, "T1 FLAIR"),
        (80.0, 1000.0, None, View.SAGITTAL_T2, "T2 by"),
        (124.0, 5570.0, 0.0, View.SAGITTAL_T2, "T2 by TE 124 ms, TR 5570 ms"),
        (60.0, 4000.0, 150.0, View.SAGITTAL_T2, "T2 (STIR) by TI 150 ms"),
        (60.0, 4000.0, 160.0, View.SAGITTAL_T2, "T2 (STIR) by TI 160 ms"),
        (40.0, 4000.0, 200.0, View.SAGITTAL_T2, "T2 (STIR) by TI 200 ms"),
        (39.0, 2517.0, None, None, "proton density by TE 39 ms, TR 2517 ms"),
        (39.0, 2517.0, 0.0, None, "proton density"),
        (110.0, 9000.0, 2200.0, None, "T2 FLAIR"),
        (3.0, 7.0, None, None, "neither TE 3 ms, TR 7 ms nor words"),
    ],
)
def test_numbers_decide_the_weighting(
    tmp_path: Path,
    echo_ms: float,
    repetition_ms: float,
    inversion_ms: float | None,
    view: View | None,
    words: str,
) -> None:
    header = series(
        "sag",
        echo_time_ms=echo_ms,
        repetition_time_ms=repetition_ms,
        inversion_time_ms=inversion_ms,
    )
    report = report_of(tmp_path, slices(), header)
    assert (report.view, report.used) == (view, view is not None)
    assert words in report.reason


@pytest.mark.parametrize(
    ("description", "view"),
    [
        ("T1", View.SAGITTAL_T1),
        ("T2", View.SAGITTAL_T2),
        ("sag_t2_tse_l1-s1", View.SAGITTAL_T2),
        ("Sagittal T2/STIR", View.SAGITTAL_T2),
        ("STIR", View.SAGITTAL_T2),
        ("T1 FLAIR", View.SAGITTAL_T1),
        ("T2 FLAIR", None),
        ("PD T2", None),
        ("T2* MEDIC", None),
        ("T1 T2", None),
        ("levels T12 to L5", None),
        ("", None),
    ],
)
def test_words_decide_where_there_are_no_times(
    tmp_path: Path, description: str, view: View | None
) -> None:
    header = series(series_description=description)
    report = report_of(tmp_path, slices(), header, HeaderProfile.RSNA)
    assert report.view is view
    assert report.used == (view is not None)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "Modality is CT"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "is not an MR image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "a mosaic"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "a reformatted image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "SUB"]}, "a subtraction"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"PhotometricInterpretation": "RGB"}, "colour or unknown pixels"),
        ({"SamplesPerPixel": 3}, "colour or unknown pixels"),
        ({"BodyPartExamined": "KNEE"}, "another body part: BodyPartExamined is KNEE"),
        ({"BodyPartExamined": "CSPINE"}, "another body part"),
        ({"ScanningSequence": "GR"}, "gradient echo"),
        ({"ScanningSequence": ["EP", "SE"]}, "echo planar"),
        ({"SeriesDescription": "loc_sag_t2"}, "a localizer: SeriesDescription"),
        ({"SeriesDescription": "3-plane scout"}, "a localizer: SeriesDescription"),
        ({"SeriesDescription": "t1_sag_sub"}, "a subtraction"),
        ({"ProtocolName": "t2_sag_c-spine"}, "another body part: SeriesDescription or Protocol"),
        ({"ProtocolName": "MR Brain"}, "another body part: SeriesDescription or Protocol"),
        ({"Rows": 5000}, "larger than 4096"),
        ({"NumberOfFrames": 4}, "4 frames without functional groups"),
    ],
)
def test_foreign_images_are_refused_with_the_rule(
    tmp_path: Path, tags: dict[str, Any], reason: str
) -> None:
    report = report_of(tmp_path, slices(count=6), series(), **tags)
    assert not report.used
    assert reason in report.reason


@pytest.mark.parametrize(
    "words",
    ["t2_tse_sag_block", "T2 SAG LUMBAR location A", "t2_sag_thoracolumbar", "T2 plane sag"],
)
def test_a_word_inside_another_word_refuses_nothing(tmp_path: Path, words: str) -> None:
    assert report_of(tmp_path, slices(), series(words)).used


def test_a_field_of_view_below_80_mm_is_refused(tmp_path: Path) -> None:
    narrow = slices(pixel_mm=1.9)  # 48 x 40 pixels: 91 x 76 mm
    report = report_of(tmp_path, narrow, series())
    assert (report.used, report.reason) == (False, "field of view of 76 mm is below 80 mm")


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ({"count": 7, "spacing_mm": 10.0}, "by its slice geometry"),
        ({"count": 3}, "by its coverage"),
        ({"pixel_mm": 10.0}, "by its field of view: 480 mm"),
        ({"pixel_mm": 8.4, "count": 7}, "by field of view and slice geometry"),
    ],
)
def test_a_sagittal_localizer_that_is_t2_by_its_numbers_is_refused(
    tmp_path: Path, layout: dict[str, Any], reason: str
) -> None:
    report = report_of(tmp_path, slices(**layout), series("sag"))
    assert not report.used
    assert "localizer" in report.reason
    assert reason in report.reason


def test_a_large_field_with_fine_slices_is_no_localizer(tmp_path: Path) -> None:
    fine = slices(pixel_mm=1.1, shape=(360, 100), count=15)  # 396 mm
    assert report_of(tmp_path, fine, series("sag")).used


def test_three_planes_in_one_series_are_a_localizer(tmp_path: Path) -> None:
    images = [
        image
        for index, plane in enumerate((SAGITTAL, AXIAL, CORONAL))
        for image in slices(plane, count=5, first_number=1 + 5 * index)
    ]
    report = report_of(tmp_path, images, series("t2_haste"))
    assert not report.used
    assert "several planes" in report.reason


def test_coronal_and_axial_t1_serve_no_view(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "c", series("cor"), slices(CORONAL, name="cor"))
    write_mr_series(tmp_path / "a", series("tra", **T1_TIMES), slices(AXIAL, name="tra"))
    reports = by_description(inspected(tmp_path))
    assert "coronal by its geometry" in reports["cor"].reason
    assert "axial T1 by TE 10 ms" in reports["tra"].reason


def test_a_block_tilted_by_48_degrees_stays_axial(tmp_path: Path) -> None:
    report = report_of(tmp_path, axial_blocks((5.0, -20.0, -48.0)), series("tra"))
    assert report.view is View.AXIAL_T2
    assert report.stacks == 3
    assert report.tilts_deg == pytest.approx((5, 20, 48), abs=0.01)


def test_two_parallel_blocks_are_two_stacks(tmp_path: Path) -> None:
    report = report_of(tmp_path, axial_blocks((7.0, 7.0), pitch_mm=21.0, count=7), series("tra"))
    assert report.stacks == 2
    assert report.slice_spacing_mm == pytest.approx(4.0, abs=1e-6)


def test_the_series_that_covers_the_canal_goes_before_the_finer_one(tmp_path: Path) -> None:
    whole = slices(pixel_mm=5.0, name="whole")
    half = slices(pixel_mm=4.0, centre_lps_mm=(32, 0, 0), count=10, name="half")
    write_mr_series(tmp_path / "1", series("whole"), whole)
    write_mr_series(tmp_path / "2", series("half"), half)
    write_mr_series(tmp_path / "3", series("tra"), axial_blocks())
    reports = by_description(inspected(tmp_path))
    assert reports["whole"].used
    assert not reports["half"].used
    assert "chosen of 2: covers 100% of the spine" in reports["whole"].reason
    assert reports["half"].view is View.SAGITTAL_T2


def test_of_two_that_cover_the_canal_the_finer_one_serves(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "1", series("coarse"), slices(pixel_mm=6.0, name="coarse"))
    write_mr_series(tmp_path / "2", series("fine"), slices(pixel_mm=5.0, name="fine"))
    reports = by_description(inspected(tmp_path))
    assert (reports["fine"].used, reports["coarse"].used) == (True, False)
    assert "chosen of 2: voxel of 110.00 mm³" in reports["fine"].reason
    assert "voxel of 158.40 mm³" in reports["coarse"].reason


def test_plain_t1_goes_before_contrast_enhanced_and_the_latter_serves_alone(
    tmp_path: Path,
) -> None:
    enhanced_t1 = series("t1_gd", **T1_TIMES)
    write_mr_series(tmp_path / "gd", enhanced_t1, slices(pixel_mm=4.0, name="gd"))
    edit_all(tmp_path / "gd", ContrastBolusAgent="Gadolinium")
    assert inspected(tmp_path).reports[0].used
    write_mr_series(tmp_path / "plain", series("t1", **T1_TIMES), slices(name="t1"))
    reports = by_description(inspected(tmp_path))
    assert (reports["t1"].used, reports["t1_gd"].used) == (True, False)
    assert "fat-suppressed or with contrast agent" in reports["t1_gd"].reason


def test_slices_weighted_differently_in_one_series_are_refused(tmp_path: Path) -> None:
    write_mr_series(tmp_path, series("mixed"), slices(count=6))
    late = slices(count=6, centre_lps_mm=(26.4, 0, 0), first_number=7)
    write_mr_series(tmp_path, series("mixed", **T1_TIMES), late)
    (report,) = inspected(tmp_path).reports
    assert not report.used
    assert "its slices are weighted differently: T2 (" in report.reason
    assert "12.dcm)" in report.reason
    assert str(tmp_path) not in report.reason  # a folder's name may name the patient


def test_slices_without_times_follow_the_words_of_the_others(tmp_path: Path) -> None:
    write_mr_series(tmp_path, series(), slices())
    for number in range(1, 7):
        edit(tmp_path / f"{number}.dcm", EchoTime=None, RepetitionTime=None)
    (report,) = inspected(tmp_path).reports
    assert (report.used, report.view, report.slices) == (True, View.SAGITTAL_T2, 12)


def test_plain_t2_goes_before_stir_and_stir_serves_alone(tmp_path: Path) -> None:
    stir = series("stir", inversion_time_ms=160.0, echo_time_ms=60.0)
    write_mr_series(tmp_path / "1", stir, slices(pixel_mm=4.0, name="stir"))
    assert inspected(tmp_path).reports[0].used
    write_mr_series(tmp_path / "2", series("t2"), slices(name="t2"))
    reports = by_description(inspected(tmp_path))
    assert (reports["t2"].used, reports["stir"].used) == (True, False)


def test_of_two_repeats_the_later_one_serves(tmp_path: Path) -> None:
    for number, name in ((4, "first"), (9, "second")):
        write_mr_series(tmp_path / name, series(name, series_number=number), slices(name=name))
    reports = by_description(inspected(tmp_path))
    assert (reports["first"].used, reports["second"].used) == (False, True)
    assert "earlier than series" in reports["first"].reason


def test_axial_series_serve_together_where_each_adds_something(tmp_path: Path) -> None:
    for name, tilts, top in (
        ("upper", (7.0, 4.0, -4.0), 70.0),
        ("lower", (-12.0, -28.0), -35.0),
        ("again", (-12.0,), -35.0),
    ):
        pixel = 4.5 if name == "again" else 4.0
        images = axial_blocks(tilts, top_mm=top, name=name, pixel_mm=pixel)
        write_mr_series(tmp_path / name, series(name), images)
    reports = by_description(inspected(tmp_path))
    assert [reports[name].used for name in ("upper", "lower", "again")] == [True, True, False]
    assert "adds" in reports["lower"].reason


def test_an_axial_series_beside_the_sagittal_field_is_passed_over(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "s", series("sag"), slices(name="sag"))
    far = slices(AXIAL, centre_lps_mm=(0, 0, 600), name="far")
    write_mr_series(tmp_path / "a", series("far"), far)
    reports = by_description(inspected(tmp_path))
    assert reports["sag"].used
    assert not reports["far"].used


def test_two_echoes_in_one_series_are_told_apart(tmp_path: Path) -> None:
    late, early = series("dual"), series("dual", echo_time_ms=20.0)
    write_mr_series(tmp_path / "a", late, slices(name="late"))
    write_mr_series(tmp_path / "b", early, slices(name="early", first_number=13))
    reports = inspected(tmp_path).reports
    assert [(report.used, report.slices) for report in reports] == [(True, 12), (False, 12)]
    assert "proton density" in reports[1].reason
    assert any("echoes" in problem for problem in reports[0].problems)


def rsna_dataset(root: Path, table: str | None) -> Path:
    """One study of three series in the RSNA layout; every description says T2."""
    study = root / "train_images" / "4003253"
    for folder, images in (
        ("11", slices()),
        ("22", slices(name="other")),
        ("33", axial_blocks()),
    ):
        header = replace(series(folder), series_description="T2")
        write_mr_series(study / folder, header, images, profile=HeaderProfile.RSNA)
    if table is not None:
        (root / "train_series_descriptions.csv").write_text(
            "study_id,series_id,series_description\n" + table
        )
    return root


def test_the_datasets_own_table_names_the_views(tmp_path: Path) -> None:
    table = "4003253,11,Sagittal T2/STIR\n4003253,22,Sagittal T1\n4003253,33,Axial T2\n"
    reports = inspected(rsna_dataset(tmp_path, table)).reports
    views = {report.series_id: report.view for report in reports if report.used}
    assert views == {"11": View.SAGITTAL_T2, "22": View.SAGITTAL_T1, "33": View.AXIAL_T2}
    assert all(report.reason.endswith(" by the dataset's table") for report in reports)
    assert "axial T2 by the dataset's table" in {report.reason for report in reports}


def test_a_table_that_contradicts_the_geometry_is_refused(tmp_path: Path) -> None:
    reports = inspected(rsna_dataset(tmp_path, "4003253,11,Axial T2\n")).reports
    (report,) = (report for report in reports if report.series_id == "11")
    assert not report.used
    assert "the slices are sagittal by their geometry" in report.reason


def test_all_axial_series_of_the_table_serve(tmp_path: Path) -> None:
    root = rsna_dataset(tmp_path, "4003253,33,Axial T2\n4003253,44,Axial T2\n")
    header = replace(series("44"), series_description="T2")
    folder = root / "train_images" / "4003253" / "44"
    write_mr_series(folder, header, axial_blocks(name="44"), profile=HeaderProfile.RSNA)
    used = {report.series_id for report in inspected(root).reports if report.used}
    assert {"33", "44"} <= used
