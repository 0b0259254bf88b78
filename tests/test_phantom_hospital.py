"""A hospital's studies: every series is taken for what it is, whatever its maker calls it.

Headers decide, so most tests write blank pixels in place of the scanned ones.
"""

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from lumbargrade.cli import app
from lumbargrade.competition import read_coordinates, read_truth
from lumbargrade.dicom.files import find
from lumbargrade.dicom.inspection import inspect_study
from lumbargrade.dicom.read import read_study
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import View
from lumbargrade.phantom.dataset import Pitfalls, write_dataset
from lumbargrade.phantom.protocol import SeriesProtocol, plan_study
from lumbargrade.phantom.spine import build_spine
from lumbargrade.phantom.study import StudyProfile
from lumbargrade.phantom.tissue import Sequence, Tissue, tissue_signals
from lumbargrade.phantom.vendors import VENDORS, Kind

FEW = range(2000, 2006)
MANY = range(2100, 2130)


def blank(*arguments: Any) -> list[np.ndarray]:
    protocol = next(a for a in arguments if isinstance(a, SeriesProtocol))
    image = np.zeros(protocol.stored, np.uint16)
    image[::7] = 900
    return [image] * len(protocol.affines)


def write_blank(out: Path, seeds: range, pitfalls: Pitfalls = Pitfalls.AUTO) -> Path:
    """The hospital studies of some seeds, with all their headers and nothing in the images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lumbargrade.phantom.study.scan_series", blank)
        for name in ("paint_spine", "build_body", "Scanner"):
            patch.setattr(f"lumbargrade.phantom.study.{name}", lambda *_: None)
        write_dataset(
            out, studies=len(seeds), seed=seeds.start, profile=StudyProfile.HOSPITAL,
            pitfalls=pitfalls,
        )  # fmt: skip
    return out


def expected(dataset: Path) -> dict[str, dict[str, str]]:
    with (dataset / "phantom_series.csv").open() as file:
        return {row["series_id"]: row for row in csv.DictReader(file)}


def exported(dataset: Path, out: Path) -> Path:
    """The files as an export leaves them: no table, no telling folder, no telling name."""
    files = sorted((dataset / "train_images").rglob("*.dcm"))
    for number in np.random.default_rng(0).permutation(len(files)):
        folder = out / f"DIR{number % 7:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[number], folder / f"IM{number:06d}")
    return out


def series_ids(dataset: Path) -> dict[str, str]:
    """SeriesInstanceUID → the series folder's name."""
    folders = (path for path in (dataset / "train_images").glob("*/*"))
    return {
        pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesInstanceUID: (
            folder.name
        )
        for folder in folders
    }


def wrong_series(dataset: Path, export: Path) -> tuple[list[str], Counter[str]]:
    """What inspection gets wrong, and how many series of each kind it saw."""
    truth, names = expected(dataset), series_ids(dataset)
    wrong, kinds = [], Counter[str]()
    findings = find(export)
    assert not findings.problems
    for files in findings.studies:
        inspection = inspect_study(files)
        for report in inspection.reports:
            row = truth[names[report.series_uid]]
            kinds[row["kind"]] += 1
            if (
                report.used != (row["used"] == "1")
                or (report.view or "") != row["view"]
                or row["reason"].lower() not in report.reason.lower()
            ):
                wrong.append(f"{row} is {report.view}, used {report.used}: {report.reason}")
    return wrong, kinds


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blank(tmp_path_factory.mktemp("hospital"), FEW)


def test_every_series_of_six_exports_is_taken_for_what_it_is(few: Path, tmp_path: Path) -> None:
    wrong, kinds = wrong_series(few, exported(few, tmp_path))
    assert wrong == []
    assert sum(kinds.values()) == len(expected(few))
    assert kinds[Kind.PLANES_LOCALIZER] == len(FEW)


def test_a_t1_flair_named_tirm_goes_before_the_same_with_contrast_agent(tmp_path: Path) -> None:
    dataset = write_blank(tmp_path / "dataset", range(2007, 2008))
    kinds = {row["kind"] for row in expected(dataset).values()}
    assert {Kind.SAGITTAL_T1_FLAIR, Kind.SAGITTAL_T1_CONTRAST} <= kinds
    wrong, _ = wrong_series(dataset, exported(dataset, tmp_path / "export"))
    assert wrong == []


@pytest.mark.slow
def test_every_series_of_thirty_exports_is_taken_for_what_it_is(tmp_path: Path) -> None:
    dataset = write_blank(tmp_path / "dataset", MANY)
    wrong, kinds = wrong_series(dataset, exported(dataset, tmp_path / "export"))
    assert wrong == []
    assert set(kinds) == set(Kind)  # each kind was seen at least once
    assert sum(kinds.values()) == len(expected(dataset)) > 5 * len(MANY)


def test_the_competitions_tables_name_the_usual_series_alone(few: Path) -> None:
    with (few / "train_series_descriptions.csv").open() as file:
        listed = {row["series_id"] for row in csv.DictReader(file)}
    assert listed == {name for name, row in expected(few).items() if row["used"] == "1"}


def test_headers_say_who_made_the_scanner_and_that_nobody_was_in_it(few: Path) -> None:
    makers, syntaxes = set(), set()
    for study in sorted((few / "train_images").iterdir()):
        headers = [
            pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True)
            for folder in sorted(study.iterdir())
        ]
        images = [header for header in headers if header.Modality == "MR"]
        assert len({header.StudyInstanceUID for header in headers}) == 1
        assert len({header.SeriesInstanceUID for header in headers}) == len(headers)
        assert len({header.SeriesNumber for header in headers}) == len(headers)
        assert {str(header.PatientName) for header in headers} == {"SYNTHETIC^PHANTOM"}
        assert all(header.EchoTime and header.RepetitionTime for header in images)
        assert len({header.Manufacturer for header in images}) == 1
        makers.add(images[0].Manufacturer)
        syntaxes.add(images[0].file_meta.TransferSyntaxUID)
    assert makers <= {vendor.manufacturer for vendor in VENDORS}
    assert len(makers) >= 2
    assert len(syntaxes) >= 2


def test_points_name_the_instance_that_shows_them_whatever_the_order_of_numbers(few: Path) -> None:
    study = read_study(few / "train_images" / "102001")
    slices = {(s.series_id, i.instance_number): i for s in study.series for i in s.slices}
    shuffled = 0
    for series in study.series:
        numbers = [image.instance_number or 0 for image in series.slices]
        shuffled += numbers not in (sorted(numbers), sorted(numbers)[::-1])
    assert shuffled
    checked = 0
    for true in read_truth(few):
        if true.study_id == "102001" and true.covered:
            image = slices[true.series_id, true.instance_number]
            distance = lps_to_slices(image.affine[None], true.position_lps_mm)[0, 0]
            assert abs(distance) <= 0.5 * np.linalg.norm(image.affine[:3, 0]) + 1
            checked += 1
    assert checked >= 25


def test_pitfalls_move_points_to_a_neighbour_in_space(tmp_path: Path) -> None:
    dataset = write_blank(tmp_path, range(2001, 2002), Pitfalls.ON)
    study = read_study(dataset / "train_images" / "102001")
    slices = {(s.series_id, i.instance_number): i for s in study.series for i in s.slices}
    truth = {true.target: true for true in read_truth(dataset)}
    moved = 0
    for row in read_coordinates(dataset):
        true = truth[row.target]
        step = (
            slices[row.series_id, row.instance_number].affine[:3, 3]
            - slices[true.series_id, true.instance_number].affine[:3, 3]
        )
        moved += row.instance_number != true.instance_number
        assert np.linalg.norm(step) < 12  # a neighbour of its stack, 3.6 to 6 mm away
    assert moved


def test_the_patient_and_the_planes_are_those_of_the_plain_profile(few: Path) -> None:
    planned = plan_study(2003, build_spine(2003))  # without a slip
    study = read_study(few / "train_images" / "102003")
    for view in (View.SAGITTAL_T1, View.SAGITTAL_T2):
        (series,) = study.series_of(view)
        (protocol,) = [p for p in planned if p.view is view]
        read = sorted(tuple(np.round(image.affine[:3, 3], 4)) for image in series.slices)
        made = sorted(tuple(np.round(affine[:3, 3], 4)) for affine in protocol.affines)
        np.testing.assert_allclose(read, made, atol=2e-4)


def plain_t1(field: float = 1.5) -> Sequence:
    return Sequence(
        echo_time_ms=10.0, repetition_time_ms=600.0, inversion_time_ms=None, field_t=field
    )


@pytest.mark.parametrize("field", [1.5, 3.0])
def test_t1_flair_shows_fat_bright_and_fluid_dark_as_plain_t1_does(field: float) -> None:
    flair = Sequence(echo_time_ms=31, repetition_time_ms=2159, inversion_time_ms=785, field_t=field)
    for sequence in (flair, plain_t1(field)):
        signals = tissue_signals(3, sequence)
        assert signals[Tissue.FAT] > 1.2 * signals[Tissue.MARROW]
        assert signals[Tissue.MARROW] > 1.5 * max(signals[Tissue.MUSCLE], signals[Tissue.CSF])


def test_fat_saturation_darkens_fat_and_contrast_agent_brightens_veins() -> None:
    plain = tissue_signals(3, plain_t1())
    saturated = tissue_signals(3, replace(plain_t1(), fat_saturated=True))
    enhanced = tissue_signals(3, replace(plain_t1(), contrast_agent=True))
    assert saturated[Tissue.FAT] == pytest.approx(0.12 * plain[Tissue.FAT])
    assert saturated[Tissue.CSF] == plain[Tissue.CSF]
    assert enhanced[Tissue.VEIN] > 2 * plain[Tissue.VEIN]
    assert enhanced[Tissue.FAT] == plain[Tissue.FAT]


@pytest.mark.slow
def test_predict_uses_the_usual_series_of_an_export(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    write_dataset(dataset, studies=1, seed=2003, profile=StudyProfile.HOSPITAL)
    export = exported(dataset, tmp_path / "export")
    result = CliRunner().invoke(app, ["predict", str(export), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "out").glob("*/grades.json")
    views = json.loads(path.read_text())["views"]
    names = series_ids(dataset)
    used = {names[item["series_uid"]] for view in views.values() for item in view["series"]}
    rows = expected(dataset)
    assert used == {name for name, row in rows.items() if row["used"] == "1"}
    assert len(rows) > len(used) + 2


@pytest.mark.slow
def test_scanned_pixels_are_the_plain_profiles_where_the_sequence_is(
    phantom_dataset: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path, studies=1, seed=2000, profile=StudyProfile.HOSPITAL)
    hospital = read_study(tmp_path / "train_images" / "102000")
    plain = read_study(phantom_dataset / "train_images" / "102000")
    for ours, theirs in zip(
        hospital.series_of(View.SAGITTAL_T2), plain.series_of(View.SAGITTAL_T2), strict=True
    ):
        for one, other in zip(ours.slices, theirs.slices, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)
