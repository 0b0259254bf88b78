"""What hospitals call their series, in their own languages and with their own habits."""

from pathlib import Path

import pytest

from fake_studies import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    T1_TIMES,
    axial_blocks,
    edit_all,
    series,
    slices,
    write_study,
)
from lumbargrade.dicom.write_mr import write_mr_series
from lumbargrade.labels import View
from test_views import by_description, inspected, report_of

FEW = 9
"""Slices: enough for a diagnostic series."""


REFUSED = {
    "a localizer: SeriesDescription": (
        "Übersicht sag", "Uebersicht", "repérage sag", "localizador", "localizzatore",
        "localisateur", "centratura", "Suchlauf", "Scano", "pilot", "Planung",
    ),
    "another body part: SeriesDescription or ProtocolName": (
        "SAG T2 CERV", "rachis dorsal t2", "columna dorsal sag T2", "SAG T2 THOR", "T2 sag sacrum",
        "T2 sag ISG", "T2 Knie sag", "T2 genou",
    ),
    "a fat or opposed-phase image": (
        "FAT: SAG T2 IDEAL", "OutPhase: SAG T2 FLEX", "t2_tse_dixon_sag_F", "t2_tse_dixon_sag_opp",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "words"), [(reason, one) for reason, words in REFUSED.items() for one in words]
)
def test_words_that_refuse_a_series(tmp_path: Path, reason: str, words: str) -> None:
    report = report_of(tmp_path, slices(count=FEW), series(words))
    assert not report.used
    assert reason in report.reason


@pytest.mark.parametrize(
    "words",
    ["rachis lombaire T2", "rachis cervico-dorso-lombaire t2", "rachide lombare T2", "t2 sag LWS",
     "T2 TSE LSWS", "columna lumbosacra T2"],
)  # fmt: skip
def test_a_lumbar_series_is_known_in_other_languages(tmp_path: Path, words: str) -> None:
    report = report_of(tmp_path, slices(count=FEW), series(words), BodyPartExamined="SPINE")
    assert report.used


@pytest.mark.parametrize("part", ["PELVIS", "ABDOMEN", "TSPINE"])
def test_words_that_name_the_lumbar_spine_go_before_the_body_part(
    tmp_path: Path, part: str
) -> None:
    named = series("sag t2 lumbar spine")
    assert report_of(tmp_path, slices(count=FEW), named, BodyPartExamined=part).used


def test_words_that_name_another_part_too_do_not_overrule_the_body_part(tmp_path: Path) -> None:
    both = series("c-spine and lumbar t2")
    assert not report_of(tmp_path, slices(count=FEW), both, BodyPartExamined="CSPINE").used


@pytest.mark.parametrize("words", ["", "矢状面", "сагиттальная", "serie 4"])
def test_times_tell_the_view_whatever_the_words(tmp_path: Path, words: str) -> None:
    assert report_of(tmp_path, slices(count=FEW), series(words)).view is View.SAGITTAL_T2


@pytest.mark.parametrize(
    "words",
    ["sT2_FFE sag", "T1W_FFE", "SAG mFFE", "SAG FIESTA", "t2_ciss3d", "t2_trufi3d_sag",
     "T1 VIBE sag", "SAG SPGR"],
)  # fmt: skip
def test_a_gradient_echo_with_the_times_of_t1_is_known_by_its_word(
    tmp_path: Path, words: str
) -> None:
    report = report_of(
        tmp_path, slices(count=FEW), series(words, **T1_TIMES), ScanningSequence=None
    )
    assert not report.used
    assert "gradient echo by its words" in report.reason


@pytest.mark.parametrize("words", ["t2_space_sag_iso", "SAG CUBE T2", "T2W_VISTA sag"])
def test_a_spin_echo_in_three_dimensions_is_no_gradient_echo(tmp_path: Path, words: str) -> None:
    assert report_of(tmp_path, slices(count=FEW), series(words)).view is View.SAGITTAL_T2


@pytest.mark.parametrize("value", ["F", "OP", "OPP_PHASE", "FAT"])
def test_fat_and_opposed_phase_images_are_known_by_their_type(tmp_path: Path, value: str) -> None:
    report = report_of(
        tmp_path, slices(count=FEW), series(), ImageType=["DERIVED", "PRIMARY", value]
    )
    assert not report.used
    assert f"ImageType is DERIVED\\PRIMARY\\{value}" in report.reason


def test_plain_t2_goes_before_the_water_image_of_dixon(tmp_path: Path) -> None:
    write_mr_series(
        tmp_path / "w", series("later", series_number=9), slices(pixel_mm=4.0, name="w")
    )
    edit_all(tmp_path / "w", ImageType=["DERIVED", "PRIMARY", "W"])
    write_mr_series(tmp_path / "t2", series("plain"), slices(name="t2"))
    reports = by_description(inspected(tmp_path))
    assert (reports["plain"].used, reports["later"].used) == (True, False)


@pytest.mark.parametrize(
    "words",
    ["t1_tse_sag_km", "SAG T1 +C", "SAG T1 C+", "SAG T1 POST", "T1 sag Gd", "T1 SAG GADO",
     "t1_sag_CE", "T1 sag post contrast", "T1 nach KM", "T1 sag inj"],
)  # fmt: skip
def test_contrast_agent_is_known_by_words_where_its_tag_is_missing(
    tmp_path: Path, words: str
) -> None:
    for name, number in (("t1 sag", 4), (words, 9)):
        header = series(name, series_number=number, **T1_TIMES)
        write_mr_series(tmp_path / str(number), header, slices(name=name))
    reports = by_description(inspected(tmp_path))
    assert (reports["t1 sag"].used, reports[words].used) == (True, False)


@pytest.mark.parametrize(
    "words",
    ["SAG T1 PRE CONTRAST", "T1 w/o contrast", "t1 nativ vor KM", "T1 sag post-op", "T1 sans inj"],
)
def test_words_that_deny_contrast_agent_are_no_contrast_agent(tmp_path: Path, words: str) -> None:
    for name, number in (("t1 sag", 4), (words, 9)):
        header = series(name, series_number=number, **T1_TIMES)
        write_mr_series(tmp_path / str(number), header, slices(name=name))
    assert by_description(inspected(tmp_path))[words].used  # the later of two equals


def test_one_reference_image_of_another_plane_costs_an_axial_series_nothing(
    tmp_path: Path,
) -> None:
    images = [*axial_blocks(), *slices(SAGITTAL, count=1, first_number=100)]
    report = report_of(tmp_path, images, series("t2 tra"))
    assert (report.used, report.view, report.slices) == (True, View.AXIAL_T2, 25)
    assert "1 left out, of another plane than the others" in report.problems[0]


def test_few_slices_of_each_plane_stay_a_localizer(tmp_path: Path) -> None:
    images = [
        *slices(SAGITTAL, count=7),
        *slices(CORONAL, count=1, first_number=50),
        *slices(AXIAL, count=1, first_number=60),
    ]
    report = report_of(tmp_path, images, series("t2_haste"))
    assert not report.used
    assert "several planes" in report.reason


def test_slices_of_a_2d_sequence_go_before_finer_ones_of_a_3d_sequence(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "2d", series("tse"), slices(name="tse"))
    space = series("space", spacing_between_slices_mm=1.0, slice_thickness_mm=1.0)
    fine = slices(count=60, spacing_mm=1.0, pixel_mm=4.0, name="space")
    write_mr_series(tmp_path / "3d", space, fine)
    reports = by_description(inspected(tmp_path))
    assert (reports["tse"].used, reports["space"].used) == (True, False)
    assert "thin slices of a 3-D one" in reports["space"].reason


def test_a_localizer_without_orientation_costs_its_own_series_alone(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_mr_series(tmp_path / "loc", series("loc"), slices(count=3, name="loc"))
    edit_all(tmp_path / "loc", ImageOrientationPatient=None)
    reports = by_description(inspected(tmp_path))
    assert not reports["loc"].used
    assert sum(report.used for report in reports.values()) == 3
