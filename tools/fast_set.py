"""Give a bundle a second set of models, `fast`: its own members on smaller slices, one classifier.

    python tools/fast_set.py BUNDLE --classifier NAME --calibration FILE

No weights are written: `BUNDLE/fast/manifest.json` names the members of BUNDLE, and for detectors
the size of the slices they are shown. FILE is the `calibration.yaml` of a run with this classifier
alone (`join_classifiers.py` with one classifier makes it).

What must stay true: the set answers from the bundle's own weights, so a new bundle needs it anew.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from lumbargrade.labels import View
from lumbargrade.models import CALIBRATION, MANIFEST, MemberEntry, open_models, write_manifest
from lumbargrade.settings import ConfigError

IMAGE_SIZES = {View.SAGITTAL_T2: 160, View.SAGITTAL_T1: 128, View.AXIAL_T2: 160}
"""Rows and columns of the slices, by view."""

SET = "fast"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--classifier", required=True, help="its name in the bundle's manifest")
    parser.add_argument("--calibration", type=Path, required=True)
    options = parser.parse_args(arguments)
    write_fast_set(options.bundle, options.classifier, options.calibration)


def write_fast_set(bundle: Path, classifier: str, calibration: Path) -> None:
    """Write ``BUNDLE/fast``.

    Args:
        bundle: a model folder.
        classifier: the one that is kept.
        calibration: its own.

    Raises:
        ConfigError: the bundle has no classifier of this name, or several of it.
    """
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    members = [MemberEntry.model_validate(item) for item in manifest.pop("members")]
    kept = [m for m in members if m.stage == "detector" or m.name == classifier]
    if sum(member.stage == "classifier" for member in kept) != 1:
        raise ConfigError(f"{bundle}: its manifest does not list one classifier {classifier!r}")
    shared = [
        member.model_copy(
            update={
                "path": f"../{member.path}",
                "image_size": None if member.view is None else IMAGE_SIZES[member.view],
            }
        )
        for member in kept
    ]
    facts = {key: value for key, value in manifest.items() if key not in ("name", "out_of_fold")}
    folder = bundle / SET
    folder.mkdir(exist_ok=True)
    shutil.copyfile(calibration, folder / CALIBRATION)
    write_manifest(folder, name=f"{manifest['name']}, {SET}", members=shared, facts=facts)
    open_models(folder)


if __name__ == "__main__":
    main()
