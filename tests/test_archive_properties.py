"""Whatever an archive's names and bytes are, it is read as it was packed, or refused by rule."""

import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_archives import SUFFIXES, pack
from lumbargrade.dicom.archive import ArchiveRefusedError, read_entries
from lumbargrade.dicom.archive_rules import RuleError, checked_name
from lumbargrade.dicom.first_bytes import archive_kind

plain_parts = st.text("abz09 _-.äß^", min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..") and part == part.strip()
)
plain_names = st.lists(plain_parts, min_size=1, max_size=4).map("/".join)
contents = st.binary(max_size=300).filter(lambda content: archive_kind(content) is None)
folders = st.dictionaries(plain_names, contents, min_size=1, max_size=5)


def read(archive: Path) -> dict[Path, bytes]:
    return {entry.path: entry.content for entry in read_entries(archive)}


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(packed=folders)
@settings(max_examples=40)
def test_any_folder_comes_out_as_it_was_packed(suffix: str, packed: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = pack(Path(folder) / f"study{suffix}", packed)
        assert read(archive) == {archive / name: content for name, content in packed.items()}
        assert [path.name for path in Path(folder).iterdir()] == [archive.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(packed=folders, data=st.data())
@settings(max_examples=120)
def test_damaged_bytes_are_read_or_refused(
    suffix: str, packed: dict[str, bytes], data: st.DataObject
) -> None:
    """Bytes are exchanged or cut off; no other error, no place outside, no endless reading."""
    with tempfile.TemporaryDirectory() as folder:
        archive = pack(Path(folder) / f"study{suffix}", packed)
        raw = bytearray(archive.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        archive.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
        refusal = ""
        try:
            found = read(archive)
        except ArchiveRefusedError as error:
            found, refusal = {}, str(error)
        assert not refusal or archive.name in refusal
        assert all(archive in path.parents and ".." not in path.parts for path in found)
        assert [path.name for path in Path(folder).iterdir()] == [archive.name]


@given(st.text(st.sampled_from("ab./\\:C\0\n "), max_size=12))
@settings(max_examples=500)
def test_a_checked_name_stays_below_its_archive(name: str) -> None:
    try:
        checked = checked_name(name)
    except RuleError:
        return
    parts = PurePosixPath("/archive", checked).parts
    assert parts[:2] == ("/", "archive")
    assert ".." not in parts
    assert checked == "" or not set(checked.split("/")) & {"", "."}


@given(plain_names, st.integers(0, 4), st.sampled_from(["..", "/", "C:", "\\", "\0"]))
@settings(max_examples=200)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str, at: int, trap: str) -> None:
    parts = name.split("/")
    at = min(at, len(parts))
    trapped = {
        "..": "/".join([*parts[:at], "..", *parts[at:]]),
        "/": f"/{name}",
        "C:": f"C:{name}",
        "\\": f"{name[:at]}\\{name[at:]}",
        "\0": f"{name[:at]}\0{name[at:]}",
    }[trap]
    with pytest.raises(RuleError):
        checked_name(trapped)
