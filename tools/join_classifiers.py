"""Put classifiers that were trained alone into a run, as an ensemble with its own temperatures.

    python tools/join_classifiers.py RUN CACHE CLASSIFIER... --out OUT [--bundle BUNDLE]

RUN is a finished run without folds, CACHE its prepared data: the classifier's validation studies,
and all others whose grades a study without images shall be answered by.
OUT becomes the same run with these classifiers in the place of its own: their
probabilities are averaged at the points that RUN's detectors found, and the temperatures fitted to
the mean on RUN's validation studies. Prints what each classifier and the mean score there.

What must stay true: the validation studies trained none of the classifiers, which the tool cannot
know; they also chose each one's epoch, so their scores are a little too good.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lumbargrade.bundle import strip_run
from lumbargrade.calibration import apply_calibration, fit_calibration, metric_answers, with_prior
from lumbargrade.classifier.dataset import cut_studies, stacked_labels
from lumbargrade.classifier.infer import grade_studies, load_classifier
from lumbargrade.competition import write_submission
from lumbargrade.encoder_weights import recorded_weights
from lumbargrade.ensemble import mean_probabilities
from lumbargrade.metric import competition_metric, reweight_for_metric
from lumbargrade.models import CALIBRATION, MANIFEST, MEMBERS, MemberEntry, write_manifest
from lumbargrade.out_of_fold import ANSWERS, LANDMARKS, read_landmarks
from lumbargrade.prepared import PreparedStudies, survey
from lumbargrade.run_folder import SPLIT
from lumbargrade.runtime import prepare_for_networks


def main(arguments: Sequence[str] | None = None) -> None:
    """Join, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("classifiers", type=Path, nargs="+", help="members' folders")
    parser.add_argument("--out", type=Path, required=True, help="a new run's folder")
    parser.add_argument("--bundle", type=Path, help="write its bundled form, too")
    options = parser.parse_args(arguments)
    prepare_for_networks()
    document = join(options.run, options.cache, options.classifiers, options.out)
    if options.bundle is not None:
        document["bytes"] = strip_run(options.out, options.bundle)
    print(json.dumps(document, indent=1))  # noqa: T201


def join(
    run: Path, cache: Path, classifiers: Sequence[Path], out: Path
) -> dict[str, float | list[float]]:
    """Write the new run.

    Args:
        run: finished, without folds.
        cache: prepared studies, with the run's validation studies among them.
        classifiers: members' folders, of any settings.
        out: must not be there yet.

    Returns:
        Scores on the validation studies: of each classifier, of the mean, of the calibrated mean.

    Raises:
        FileExistsError: ``out`` is there.
    """
    study_ids = json.loads((run / SPLIT).read_text())["classifier_validation"]
    landmarks = read_landmarks(run / LANDMARKS)
    studies = PreparedStudies(cache, study_ids)
    labels, answered = None, []
    for folder in classifiers:
        classifier = load_classifier(folder)
        crops = cut_studies(studies, landmarks, classifier.crops)
        labels = stacked_labels(crops)
        answered.append(grade_studies(classifier, crops))
    assert labels is not None
    mean = mean_probabilities(answered)
    every = np.stack([facts.labels for facts in survey(cache).values()])
    calibration = with_prior(fit_calibration(labels, mean), every)
    answers = metric_answers(calibration, apply_calibration(calibration, mean))
    names = [f"classifier_{number}" for number in range(len(classifiers))]
    shutil.copytree(
        run, out, ignore=shutil.ignore_patterns("classifier", "checkpoint", "report.html")
    )
    for name, folder in zip(names, classifiers, strict=True):
        kept = out / MEMBERS / name / "fold0"
        shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("checkpoint", "prepared"))
    calibration.to_yaml(out / CALIBRATION)
    write_submission(out / ANSWERS, dict(zip(study_ids, answers, strict=True)))
    scores = [competition_metric(labels, reweight_for_metric(rows)).score for rows in answered]
    found: dict[str, float | list[float]] = {
        "classifiers": scores,
        "mean": competition_metric(labels, reweight_for_metric(mean)).score,
        "calibrated": competition_metric(labels, answers).score,
    }
    _describe(out, names, found)
    return found


def _describe(out: Path, names: Sequence[str], found: dict[str, float | list[float]]) -> None:
    """The run's manifest, of other classifiers."""
    manifest = json.loads((out / MANIFEST).read_text())
    members = [MemberEntry.model_validate(item) for item in manifest.pop("members")]
    kept = [member for member in members if member.stage == "detector"]
    kept += [
        MemberEntry(path=f"{MEMBERS}/{name}/fold0", stage="classifier", name=name) for name in names
    ]
    facts = {
        **manifest,
        **recorded_weights(out / member.path for member in kept),
        "out_of_fold": {"score": found["mean"]},
    }
    name = facts.pop("name")
    write_manifest(out, name=name, members=kept, facts=facts)


if __name__ == "__main__":
    main()
