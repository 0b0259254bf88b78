"""Studies of tiny images in the competition's layout, for tests of what reads whole datasets."""

from pathlib import Path

from fake_studies import T1_TIMES, T2_TIMES, axial_blocks, series, slices
from lumbargrade.dicom.write_mr import derived_uid, write_mr_series


def write_dataset(folder: Path, *study_ids: str, split: str = "train") -> Path:
    """Write complete studies as ``folder/<split>_images/<study>/<series>/<n>.dcm``."""
    for study_id in study_ids:
        place = folder / f"{split}_images" / study_id
        for number, (name, times, images) in enumerate(
            (
                ("t2_tse_sag", T2_TIMES, slices(name=f"{study_id} t2")),
                ("t1_tse_sag", T1_TIMES, slices(name=f"{study_id} t1")),
                ("t2_tse_tra", T2_TIMES, axial_blocks(name=f"{study_id} tra")),
            )
        ):
            header = series(
                name,
                study_uid=derived_uid("study", study_id),
                series_uid=derived_uid("series", study_id, name),
                **times,
            )
            write_mr_series(place / str(9001 + number), header, images)
    return folder


def break_study(folder: Path, study_id: str, split: str = "train") -> None:
    """Cut every file of a study short, so that no slice of it can be decoded."""
    for path in (folder / f"{split}_images" / study_id).rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-400])
