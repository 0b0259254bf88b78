"""Whatever tags a file holds, its header is read or refused, and nothing missing is made up."""

import math
import struct
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz_mutations import TAGS, encode
from lumbargrade.dicom import read_headers
from lumbargrade.dicom.found import StudyFiles
from lumbargrade.dicom.inspection import inspect_study
from lumbargrade.dicom.pixels import UndecodableError, decode
from lumbargrade.dicom.slice_header import SliceHeader, UnreadableFileError

VRS = (b"CS", b"DS", b"IS", b"US", b"UI", b"LO", b"FD", b"SS", b"UN", b"OB", b"AE", b"FL", b"SQ")

RIGHT_VR = {
    "ImagePositionPatient": b"DS",
    "ImageOrientationPatient": b"DS",
    "PixelSpacing": b"DS",
    "SliceThickness": b"DS",
    "SpacingBetweenSlices": b"DS",
    "EchoTime": b"DS",
    "RepetitionTime": b"DS",
    "ImageType": b"CS",
    "PhotometricInterpretation": b"CS",
    "SOPClassUID": b"UI",
    "SOPInstanceUID": b"UI",
    "StudyInstanceUID": b"UI",
    "SeriesInstanceUID": b"UI",
    "FrameOfReferenceUID": b"UI",
    "InstanceNumber": b"IS",
    "NumberOfFrames": b"IS",
    "Rows": b"US",
    "Columns": b"US",
    "SamplesPerPixel": b"US",
}
FIELDS = {
    "ImagePositionPatient": ("position_lps_mm", 3),
    "ImageOrientationPatient": ("image_orientation", 6),
    "PixelSpacing": ("pixel_spacing_mm", 2),
}
NUMBER_FIELDS = {
    "SliceThickness": "slice_thickness_mm",
    "SpacingBetweenSlices": "spacing_between_slices_mm",
    "EchoTime": "echo_time_ms",
    "RepetitionTime": "repetition_time_ms",
}
EMPTY_FIELDS = {
    "Rows": ("rows", 0),
    "Columns": ("columns", 0),
    "SamplesPerPixel": ("samples_per_pixel", 0),
    "PhotometricInterpretation": ("photometric", ""),
    "SOPInstanceUID": ("sop_instance_uid", ""),
    "SeriesInstanceUID": ("series_uid", ""),
    "StudyInstanceUID": ("study_uid", ""),
    "FrameOfReferenceUID": ("frame_of_reference_uid", ""),
    "InstanceNumber": ("instance_number", None),
    "ImageType": ("image_type", ()),
}

numbers = st.one_of(
    st.floats(-500, 500).map(lambda value: f"{value:.6g}"),
    st.sampled_from(["1e400", "-1e400", "nan", "inf", "1e-320", "1e308", "", " ", "abc", "1,5"]),
    st.integers(-(10**14), 10**14).map(str),
)
decimal_lists = st.lists(numbers, max_size=8).map("\\".join)
values = st.one_of(
    decimal_lists.map(str.encode),
    st.binary(max_size=40),
    st.integers(0, 65535).map(lambda value: struct.pack("<H", value)),
    st.floats().map(lambda value: struct.pack("<d", value)),
)


def write(folder: str, elements: dict[str, tuple[bytes, bytes]]) -> Path:
    """An explicit little-endian file of these elements: keyword → (VR, value)."""
    order = sorted(elements, key=lambda keyword: struct.unpack("<HH", TAGS[keyword]))
    body = b"".join(encode(TAGS[keyword], *elements[keyword]) for keyword in order)
    meta = encode(b"\x02\0\x10\0", b"UI", b"1.2.840.10008.1.2.1")
    length = encode(b"\x02\0\0\0", b"UL", struct.pack("<I", len(meta)))
    path = Path(folder, "x.dcm")
    path.write_bytes(bytes(128) + b"DICM" + length + meta + body)
    return path


@given(
    st.dictionaries(
        st.sampled_from(sorted(set(TAGS) - {"TransferSyntaxUID"})),
        st.tuples(st.sampled_from(VRS), values),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_mixture_of_values_gives_a_header_or_the_documented_error(
    elements: dict[str, tuple[bytes, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, elements)
        try:
            headers = read_headers(path)
        except UnreadableFileError as error:
            named = path.name in str(error)
            headers = ()
        else:
            named = True
        assert named
        for header in headers:
            check_types(header)
            check_nothing_made_up(header, set(elements))
        if not headers:
            return
        files = StudyFiles(study_id="1", paths=(path,), headers=headers)
        (choice, *_) = inspect_study(files).choices
        assert not choice.used
        assert choice.reason
        try:
            decode(path, tuple(header.frame_number for header in headers))
        except UndecodableError:
            return


def check_types(header: SliceHeader) -> None:
    """Numbers are finite, tuples have their length, text is text."""
    for field, count in FIELDS.values():
        found = getattr(header, field)
        assert found is None or (len(found) == count and all(map(math.isfinite, found)))
    for field in NUMBER_FIELDS.values():
        found = getattr(header, field)
        assert found is None or math.isfinite(found)
    assert isinstance(header.rows, int)
    assert isinstance(header.columns, int)
    for field in ("study_uid", "series_uid", "sop_instance_uid", "photometric", "description"):
        assert isinstance(getattr(header, field), str)


def check_nothing_made_up(header: SliceHeader, given_tags: set[str]) -> None:
    """A tag that the file lacks is None or empty in the header."""
    groups = {"SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"}
    if groups & given_tags:
        return  # a tag may stand in a functional group
    absent = {field: None for keyword, (field, _) in FIELDS.items() if keyword not in given_tags}
    absent |= {field: None for k, field in NUMBER_FIELDS.items() if k not in given_tags}
    for keyword, (field, empty) in EMPTY_FIELDS.items():
        if keyword not in given_tags:
            assert getattr(header, field) == empty
    for field in absent:
        assert getattr(header, field) is None
    assert (header.modality, header.body_part, header.description) == ("", "", "")
    assert header.inversion_time_ms is None


@given(
    st.sampled_from(sorted(FIELDS)),
    st.lists(numbers, min_size=0, max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_a_geometry_tag_is_its_numbers_or_none(keyword: str, parts: list[str]) -> None:
    field, count = FIELDS[keyword]
    expected = plain_numbers(parts, count)
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, {keyword: (b"DS", "\\".join(parts).encode())})
        (header,) = read_headers(path)
    assert getattr(header, field) == expected


@given(
    st.sampled_from([*sorted(NUMBER_FIELDS), "InstanceNumber"]),
    st.lists(numbers, min_size=1, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_a_number_is_its_only_value_or_none(keyword: str, parts: list[str]) -> None:
    field = NUMBER_FIELDS.get(keyword, "instance_number")
    expected = plain_numbers(parts, 1)
    if expected and keyword == "InstanceNumber" and not expected[0].is_integer():
        expected = None
    with tempfile.TemporaryDirectory() as folder:
        (header,) = read_headers(write(folder, {keyword: (b"DS", "\\".join(parts).encode())}))
    assert getattr(header, field) == (expected[0] if expected else None)


def plain_numbers(parts: list[str], count: int) -> tuple[float, ...] | None:
    """What a Decimal String of several values says; None where one of them is no number."""
    try:
        found = tuple(float(part) for part in parts)
    except ValueError:
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None
