"""What is an ensemble worth on studies that neither its members nor its weights have seen?

    python tools/ensemble_ways.py --fit CACHE --fit-studies RUN/split.json --test CACHE
        --points RUN OTHER ... --classifiers MEMBER MEMBER ... --out DIR

Every classifier answers at every detector set's points (those of a model folder), and the answers
are made one in each way that `ensemble.answers` knows, and by stacking. Weights, the stacking model
and the choice of the best single member come from the --fit studies. Points are kept in DIR, so the
same command goes on where it was cut off; several may work on the points of several sets at once.

What must stay true: no member was trained on a --fit or --test study, which the tool cannot know;
nothing is fitted on a --test study.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lumbargrade.classifier.dataset import cut_studies, stacked_labels
from lumbargrade.classifier.infer import Classifier, grade_studies, load_classifier
from lumbargrade.detector.infer import find_landmarks, load_detector
from lumbargrade.ensemble_comparison import BEST_SINGLE, OutOfFold, compare, scores_of
from lumbargrade.intervals import score_intervals
from lumbargrade.labels import VIEWS
from lumbargrade.metric import reweight_for_metric
from lumbargrade.models import open_models
from lumbargrade.out_of_fold import Landmarks, append_landmarks, repair_landmarks
from lumbargrade.point_sets import mean_landmarks
from lumbargrade.prepared import PreparedStudies, survey
from lumbargrade.recipe_settings import MEAN_POINTS
from lumbargrade.runtime import prepare_for_networks
from lumbargrade.settings import ConfigError

FIT, TEST = 0, 1
"""As two folds, of which each is answered for with what the other one says."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Find what is left to find, answer, compare, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", type=Path, required=True, help="prepared studies")
    parser.add_argument("--fit-studies", type=Path, help="split.json; its classifier_validation")
    parser.add_argument("--test", type=Path, required=True, help="prepared studies, all of them")
    parser.add_argument("--points", type=Path, nargs="+", required=True, help="model folders")
    parser.add_argument("--classifiers", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--points-only", action="store_true", help="find points, answer nothing")
    parser.add_argument("--bootstrap", type=int, default=2000)
    options = parser.parse_args(arguments)
    prepare_for_networks()
    fit = PreparedStudies(options.fit, _study_ids(options.fit, options.fit_studies))
    test = PreparedStudies(options.test, _study_ids(options.test, None))
    options.out.mkdir(parents=True, exist_ok=True)
    sets = {
        name: [points_of(folder, studies, options.out) for studies in (fit, test)]
        for name, folder in by_name(options.points).items()
    }
    if options.points_only:
        return
    classifiers = by_name(options.classifiers)
    members = {name: load_classifier(folder) for name, folder in classifiers.items()}
    found = answer((fit, test), sets, members)
    print(json.dumps(document(found, options.bootstrap), indent=1))  # noqa: T201


def by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders under their own name, or, of a member's fold, under the member's.

    Raises:
        ConfigError: two have one name.
    """
    named = {
        path.parent.name if path.name.startswith("fold") else path.name: path for path in folders
    }
    if len(named) < len(folders):
        raise ConfigError(f"two folders of one name among {', '.join(map(str, folders))}")
    return named


def _study_ids(cache: Path, split: Path | None) -> tuple[str, ...]:
    if split is None:
        return tuple(sorted(survey(cache)))
    return tuple(sorted(json.loads(split.read_text())["classifier_validation"]))


def points_of(models: Path, studies: PreparedStudies, out: Path) -> dict[str, Landmarks]:
    """The points that a model folder's first set of detectors finds, kept as they are found."""
    path = out / f"{models.name}.jsonl"
    known = repair_landmarks(path)
    left = [study for study in studies if study.study_id not in known]
    if left:
        folder = open_models(models)
        detectors = {
            view: load_detector(folder.detectors[view][0], image_size=folder.image_sizes[view][0])
            for view in VIEWS
        }
        for study in left:
            known[study.study_id] = find_landmarks(detectors, study.volumes)
            append_landmarks(path, study.study_id, known[study.study_id])
    return {study.study_id: known[study.study_id] for study in studies}


def answer(
    parts: tuple[PreparedStudies, PreparedStudies],
    sets: Mapping[str, Sequence[Mapping[str, Landmarks]]],
    classifiers: Mapping[str, Classifier],
) -> OutOfFold:
    """Every classifier's answers at every set's points, and at the mean points."""
    points = dict(sets)
    if len(sets) > 1:
        points[MEAN_POINTS] = [
            {
                study_id: mean_landmarks([of_set[part][study_id] for of_set in sets.values()])
                for study_id in next(iter(sets.values()))[part]
            }
            for part in (FIT, TEST)
        ]
    answers: dict[tuple[str, str], np.ndarray] = {}
    for name, classifier in classifiers.items():
        for place, of_place in points.items():
            crops = [
                cut_studies(studies, dict(of_part), classifier.crops)
                for studies, of_part in zip(parts, of_place, strict=True)
            ]
            graded = [grade_studies(classifier, of_part) for of_part in crops]
            answers[name, place] = np.concatenate(graded).astype(np.float64)
            labels = np.concatenate([stacked_labels(of_part) for of_part in crops])
    pairs = tuple(pair for pair in answers if pair[1] != MEAN_POINTS)
    return OutOfFold(
        study_ids=tuple(study.study_id for studies in parts for study in studies),
        fold=np.repeat([FIT, TEST], [len(studies) for studies in parts]),
        labels=labels,
        pairs=pairs,
        members=tuple(answers[pair] for pair in pairs),
        at_mean_points=tuple(answers[pair] for pair in answers if pair[1] == MEAN_POINTS),
    )


def document(found: OutOfFold, resamples: int) -> dict[str, Any]:
    """Scores on the test studies, with intervals, and what each way is better by."""
    ways = compare(found)
    unseen = found.fold == TEST
    q = {name: reweight_for_metric(p[unseen]) for name, p in ways.items()}
    labels = found.labels[unseen]
    single = q[BEST_SINGLE]
    report: dict[str, Any] = {
        "members": {
            f"{name} at {place}": {
                "fit": scores_of(found.labels[~unseen], {"": p[~unseen]})[""].score,
                "test": scores_of(labels, {"": p[unseen]})[""].score,
            }
            for (name, place), p in zip(found.pairs, found.members, strict=True)
        }
    }
    for name, answers in q.items():
        others = {} if name == BEST_SINGLE else {BEST_SINGLE: single}
        drawn = score_intervals(labels, answers, others=others, resamples=resamples)
        report[name] = {
            **asdict(scores_of(labels, {"": ways[name][unseen]})[""]),
            "interval": asdict(drawn.parts["score"]) if drawn.parts["score"] else None,
            **{
                f"minus {other}": asdict(difference["score"])
                for other, difference in drawn.differences.items()
            },
        }
    return report


if __name__ == "__main__":
    main()
