"""Archives are read like the folders they were made of; what breaks a rule is refused by name."""

import io
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fake_archives import (
    SUFFIXES,
    TAR,
    TGZ,
    ZIP,
    add_entry,
    add_tar_entry,
    add_zip_link,
    pack,
    packed,
    set_zip_flags,
)
from fake_dataset import write_dataset
from fake_studies import edit_all, only_series, series, slices, write_study
from lumbargrade.dicom import archive_rules, find_studies, read_study
from lumbargrade.dicom.files import find
from lumbargrade.dicom.write_mr import derived_uid, write_mr_series
from lumbargrade.labels import View
from lumbargrade.records import InvalidStudyError


def refused(archive: Path) -> str:
    """Why an archive is refused; nothing of it may be used."""
    findings = find(archive)
    assert findings.studies == ()
    assert findings.dicom_files == 0
    (reason,) = findings.refused_archives
    return reason


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_mr_series(tmp_path / "study", series(), slices())
    return tmp_path / "study"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_holds_the_study_of_its_folder(study: Path, suffix: str) -> None:
    expected = read_study(study)
    archive = packed(study, suffix)
    shutil.rmtree(study)
    found = read_study(archive)
    assert (found.study_id, found.reports) == (expected.study_id, expected.reports)
    assert found.warnings == expected.warnings
    for one, other in zip(only_series(found).slices, only_series(expected).slices, strict=True):
        assert one.sop_instance_uid == other.sop_instance_uid
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.affine, other.affine)
    assert list(archive.parent.iterdir()) == [archive]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_is_known_by_its_content_not_its_name(study: Path, suffix: str) -> None:
    archive = packed(study, suffix).rename(study.parent / "export.dat")
    assert read_study(archive).study_id == derived_uid("study")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_layout_inside_an_archive_names_its_studies_and_views(
    tmp_path: Path, suffix: str
) -> None:
    dataset = write_dataset(tmp_path / "data", "101", "102")
    edit_all(dataset, SeriesDescription="", ProtocolName="", EchoTime=None, RepetitionTime=None)
    (dataset / "train_series_descriptions.csv").write_text(
        "study_id,series_id,series_description\n"
        + "".join(
            f"{study_id},{series_id},{words}\n"
            for study_id in ("101", "102")
            for series_id, words in (
                ("9001", "Sagittal T2/STIR"), ("9002", "Sagittal T1"), ("9003", "Axial T2"),
            )
        )
    )  # fmt: skip
    archive = packed(dataset, suffix)
    studies = [read_study(files) for files in find_studies(archive)]
    assert [item.study_id for item in studies] == ["101", "102"]
    for item in studies:
        assert {found.series_id: found.view for found in item.series} == {
            "9001": View.SAGITTAL_T2,
            "9002": View.SAGITTAL_T1,
            "9003": View.AXIAL_T2,
        }
    assert find(archive).foreign_files == 1  # the table


def test_a_layout_around_an_archive_names_no_study(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "101")
    images = tmp_path / "train_images"
    images.mkdir()
    packed(tmp_path / "data" / "train_images" / "101", ZIP, images / "101.zip")
    assert [item.study_id for item in find_studies(images)] == [derived_uid("study", "101")]


def test_the_series_of_one_study_may_lie_in_several_archives(tmp_path: Path) -> None:
    write_study(tmp_path / "in")
    expected = read_study(tmp_path / "in")
    for number, folder in enumerate(sorted((tmp_path / "in").iterdir())):
        if number:
            packed(folder, SUFFIXES[number])
            shutil.rmtree(folder)
    found = read_study(tmp_path / "in")
    assert [item.view for item in found.series] == list(View)
    assert found.reports == expected.reports


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_broken_slices_of_an_archive_are_left_out_as_in_a_folder(study: Path, suffix: str) -> None:
    whole = (study / "2.dcm").read_bytes()
    (study / "2.dcm").write_bytes(whole[:-400])
    (study / "3.dcm").write_bytes(whole[:140])
    expected = read_study(study)
    assert len(expected.warnings) == 4
    assert read_study(packed(study, suffix)).warnings == expected.warnings


NAMES = [
    ("../evil.dcm", "leads out of the archive"),
    ("a/../../evil.dcm", "leads out of the archive"),
    ("/etc/evil.dcm", "absolute path"),
    ("C:/evil.dcm", "absolute path"),
    ("c:evil.dcm", "absolute path"),
    ("..\\evil.dcm", "backslash"),
    ("a\\evil.dcm", "backslash"),
    ("a\nb.dcm", "control character"),
    ("1.dcm", "two entries share one name"),
    ("./1.dcm", "two entries share one name"),
]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("name", "rule"), NAMES)
def test_a_name_that_leads_elsewhere_refuses_the_archive(
    study: Path, suffix: str, name: str, rule: str
) -> None:
    archive = packed(study, suffix)
    add_entry(archive, name)
    reason = refused(archive)
    assert reason.startswith(f"archive study{suffix}: entry {name!r}: ")
    assert rule in reason
    assert not list(study.parent.glob("**/evil*"))


@pytest.mark.parametrize("suffix", [TAR, TGZ])
@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_refuse_it(study: Path, suffix: str, kind: bytes) -> None:
    archive = packed(study, suffix)
    info = tarfile.TarInfo("link.dcm")
    info.type, info.linkname = kind, "/etc/passwd"
    add_tar_entry(archive, info)
    assert refused(archive) == f"archive study{suffix}: entry 'link.dcm': a link or device"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_refuse_it(study: Path, kind: int) -> None:
    archive = packed(study, ZIP)
    add_zip_link(archive, "link.dcm", "/etc/passwd", kind)
    assert refused(archive) == "archive study.zip: entry 'link.dcm': a link or device"


def test_an_encrypted_entry_refuses_the_archive(study: Path) -> None:
    archive = packed(study, ZIP)
    set_zip_flags(archive, "3.dcm", 0x1)
    assert refused(archive) == "archive study.zip: entry '3.dcm': encrypted"


def test_another_method_than_deflate_refuses_the_archive(study: Path) -> None:
    archive = study.parent / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as zipped:
        zipped.write(study / "1.dcm", "1.dcm")
    assert "entry '1.dcm': compressed by another method than deflate" in refused(archive)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("inner", [*SUFFIXES, ".7z"])
def test_an_archive_inside_the_archive_refuses_it(study: Path, suffix: str, inner: str) -> None:
    archive = packed(study, suffix)
    nested = study.parent / f"nested{inner}"
    if inner == ".7z":
        nested.write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    else:
        pack(nested, {"1.dcm": b"x"})
    add_entry(archive, "inner.dat", nested.read_bytes())
    assert "entry 'inner.dat': an archive or compressed file" in refused(archive)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_limits_count_entries_and_bytes(
    study: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(study, suffix)
    size = (study / "1.dcm").stat().st_size
    total = sum(path.stat().st_size for path in study.iterdir())
    for name, value, rule in (
        ("MAX_ENTRIES", 11, "more than 11 entries"),
        ("MAX_ENTRY_BYTES", size - 1, f"larger than {size - 1} bytes"),
        ("MAX_TOTAL_BYTES", total - 1, f"the archive holds more than {total - 1} bytes"),
    ):
        with monkeypatch.context() as limits:
            limits.setattr(archive_rules, name, value)
            assert rule in refused(archive)
    generous = 1 if suffix == ZIP else 2  # a tar also counts its own headers and padding
    monkeypatch.setattr(archive_rules, "MAX_ENTRIES", 12)
    monkeypatch.setattr(archive_rules, "MAX_ENTRY_BYTES", size)
    monkeypatch.setattr(archive_rules, "MAX_TOTAL_BYTES", generous * total)
    assert len(find_studies(archive)) == 1


@pytest.mark.parametrize("suffix", [ZIP, TGZ])
def test_what_unpacks_to_far_more_than_it_is_is_refused(study: Path, suffix: str) -> None:
    archive = packed(study, suffix)
    add_entry(archive, "zeros.dcm", bytes(50 * 2**20))
    assert refused(archive).startswith(f"archive study{suffix}: ")
    assert refused(archive).endswith("compressed more than 200 to 1")


def test_a_zip_that_lies_about_its_sizes_is_refused(study: Path) -> None:
    archive = packed(study, ZIP)
    raw = bytearray(archive.read_bytes())
    for place in _central_headers(raw):
        struct.pack_into("<I", raw, place + 24, 132)  # uncompressed size
    archive.write_bytes(bytes(raw))
    assert "entry '1.dcm': broken or cut off" in refused(archive)


def _central_headers(raw: bytearray) -> list[int]:
    places, start = [], raw.find(b"PK\x01\x02")
    while start >= 0:
        places.append(start)
        start = raw.find(b"PK\x01\x02", start + 4)
    return places


@pytest.mark.parametrize("suffix", [ZIP, TGZ])
def test_an_archive_that_is_cut_off_anywhere_is_refused(study: Path, suffix: str) -> None:
    archive = packed(study, suffix)
    whole = archive.read_bytes()
    for share in (0.3, 0.6, 0.9, 0.99):
        archive.write_bytes(whole[: int(len(whole) * share)])
        assert "broken or cut off" in refused(archive)


def test_a_broken_header_inside_a_tar_loses_no_slice_in_silence(study: Path) -> None:
    archive = packed(study, TAR)
    raw = bytearray(archive.read_bytes())
    place = raw.index(b"5.dcm")
    raw[place : place + 5] = b"55555"  # the checksum no longer fits
    archive.write_bytes(bytes(raw))
    assert "broken or cut off (ReadError)" in refused(archive)


def test_a_tar_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w:", format=tarfile.PAX_FORMAT) as tarred:
        info = tarfile.TarInfo("1.dcm")
        info.pax_headers = {"comment": "x" * (archive_rules.MAX_HEADER_BYTES + 1)}
        tarred.addfile(info, io.BytesIO())
    assert f"a header larger than {archive_rules.MAX_HEADER_BYTES} bytes" in refused(archive)


def test_random_damage_refuses_an_archive_or_changes_nothing(study: Path) -> None:
    rng = np.random.default_rng(11)
    for suffix in SUFFIXES:
        archive = packed(study, suffix)
        whole = archive.read_bytes()
        for _ in range(25):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), size=rng.integers(1, 6)):
                damaged[place] = rng.integers(256)
            archive.write_bytes(bytes(damaged))
            try:
                for files in find_studies(archive):
                    read_study(files)
            except InvalidStudyError:
                continue


# Among other files -------------------------------------------------------------------------------


def test_a_refused_archive_stops_no_other_study(study: Path) -> None:
    other = study.parent / "other"
    write_mr_series(other, series(study_uid=derived_uid("b")), slices(name="b"))
    archive = packed(other, ZIP)
    add_entry(archive, "../evil.dcm")
    shutil.rmtree(other)
    findings = find(study.parent)
    assert [item.study_id for item in findings.studies] == [derived_uid("study")]
    assert len(findings.refused_archives) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda path: pack(path, {"word/document.xml": b"<x/>", "word/chart.xlsx": b"PK\x03\x04"}),
        lambda path: pack(path, {"notes.txt": b"no image"}),
        lambda path: path.write_bytes(b"\x1f\x8b\x08 no gzip"),
        lambda path: path.write_bytes(b""),
    ],
)
def test_archives_without_images_are_foreign_files(
    study: Path, make: Callable[[Path], object]
) -> None:
    make(study / "letter.zip")
    findings = find(study)
    assert (findings.dicom_files, findings.foreign_files) == (12, 1)
    assert findings.refused_archives == ()


def test_reading_an_archive_writes_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(study, TGZ)
    scratch = study.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    before = sorted(study.parent.rglob("*"))
    read_study(archive)
    assert sorted(study.parent.rglob("*")) == before


def test_an_archive_that_changes_between_finding_and_reading_is_an_error(study: Path) -> None:
    archive = packed(study, ZIP)
    (files,) = find_studies(archive)
    pack(archive, {"1.dcm": (study / "1.dcm").read_bytes()})
    with pytest.raises(InvalidStudyError, match=r"archive study\.zip: changed while it was read"):
        read_study(files)
