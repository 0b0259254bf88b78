"""The competition's layout: ``{train,test}_images/<study>/<series>/<n>.dcm`` names its studies.

What must stay true: a study's id holds no underscore; the table beside an images folder says which
view a series shows, and only where it names the series.
"""

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lumbargrade.labels import View

ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z.\-]*")
"""What may become a study's or series' id, and so the name of a folder."""

_FOLDER = re.compile(r"(train|test)_images")
_FILE = re.compile(r"\d+\.dcm")
_TABLE = re.compile(r"(train|test)_series_descriptions\.csv")

_VIEW_OF_WORDS = {
    "Sagittal T1": View.SAGITTAL_T1,
    "Sagittal T2/STIR": View.SAGITTAL_T2,
    "Axial T2": View.AXIAL_T2,
}
"""The words of ``train_series_descriptions.csv``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownView:
    """What a dataset's own table says about a series."""

    series_id: str
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class RsnaPlace:
    """Where a file lies in the layout."""

    images: Path
    """The ``…_images`` folder."""
    study_id: str


def rsna_place(file: Path, *, within: Path | None = None) -> RsnaPlace | None:
    """The place of a file that lies in the layout, None for any other.

    Args:
        file: its path.
        within: the archive that holds it, which then must hold the images folder, too.
    """
    file = Path(os.path.abspath(file))
    if len(file.parts) < 5 or not _FILE.fullmatch(file.name):
        return None
    series, study, images = file.parents[0], file.parents[1], file.parents[2]
    if within is not None and Path(os.path.abspath(within)) not in images.parents:
        return None
    fits = _FOLDER.fullmatch(images.name) and ID.fullmatch(study.name) and ID.fullmatch(series.name)
    return RsnaPlace(images=images, study_id=study.name) if fits else None


def is_views_table(file: Path) -> bool:
    """Whether a file is named like the table of views."""
    return _TABLE.fullmatch(file.name) is not None


def views_table_of(images: Path) -> Path:
    """Where the table of an images folder lies, if there is one."""
    split = images.name.removesuffix("_images")
    return images.parent / f"{split}_series_descriptions.csv"


def known_views(lines: Iterable[str]) -> dict[str, tuple[KnownView, ...]]:
    """Study → views of its series, from the lines of a table."""
    views: dict[str, list[KnownView]] = {}
    for row in csv.DictReader(lines):
        view = _VIEW_OF_WORDS.get((row.get("series_description") or "").strip())
        study_id, series_id = row.get("study_id"), row.get("series_id")
        if view is not None and study_id and series_id:
            known = KnownView(series_id=series_id.strip(), view=view)
            views.setdefault(study_id.strip(), []).append(known)
    return {study_id: tuple(known) for study_id, known in views.items()}
