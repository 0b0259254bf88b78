"""lumbargrade: points and severity grades from lumbar-spine MRI.

``from lumbargrade import Pipeline, find_studies, read_study`` loads what it needs at that moment;
importing the package alone loads neither torch nor pydicom.
"""

import importlib

_HOME = {
    "Pipeline": "lumbargrade.pipeline",
    "find_studies": "lumbargrade.dicom",
    "read_study": "lumbargrade.dicom",
}

__all__ = ["Pipeline", "find_studies", "read_study"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
