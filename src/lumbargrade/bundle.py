"""A run → the small model folder that travels with the package.

What must stay true: a bundle answers as its run does, up to the rounding of weights; it holds
nothing about single studies; an earlier bundle stays until the new one is complete.
"""

import itertools
from pathlib import Path

from lumbargrade.atomic_files import folder_beside, make_folder, write_beside
from lumbargrade.ensemble_file import ENSEMBLE_FILE
from lumbargrade.models import CALIBRATION, MANIFEST, POINT_CONFIDENCE, open_models
from lumbargrade.settings import ConfigError
from lumbargrade.training.checkpoint import CONFIG, METRICS, WEIGHTS, load_weights, save_weights
from lumbargrade.training.rounding import rounded


def strip_run(run: Path, out: Path) -> int:
    """Write the bundled form of a finished run.

    Args:
        run: a run's folder, with its manifest.
        out: the bundle; an earlier one is replaced as a whole, when the new one is complete.

    Returns:
        Bytes of all weights.

    Raises:
        ConfigError: the run is not finished or lists members of another folder, or ``out`` is the
            run itself.
    """
    if run.resolve() == out.resolve():
        raise ConfigError(f"{out}: a run cannot be stripped into itself")
    models = open_models(run)
    members = [*itertools.chain(*models.detectors.values()), *models.classifiers]
    if not all(member.resolve().is_relative_to(run.resolve()) for member in members):
        raise ConfigError(f"{run}: its manifest lists members of another folder")
    with folder_beside(out) as bundle:
        total = 0
        for member in members:
            total += _strip_member(member, bundle / member.relative_to(run))
        for name in (MANIFEST, CONFIG, CALIBRATION, ENSEMBLE_FILE, POINT_CONFIDENCE):
            if (run / name).is_file():
                write_beside(bundle / name, (run / name).read_bytes())
        open_models(bundle)
    return total


def _strip_member(member: Path, out: Path) -> int:
    make_folder(out)
    for name in (CONFIG, METRICS):
        write_beside(out / name, (member / name).read_bytes())
    save_weights(rounded(load_weights(member / WEIGHTS)), out / WEIGHTS)
    return (out / WEIGHTS).stat().st_size
