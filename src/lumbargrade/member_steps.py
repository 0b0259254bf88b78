"""The steps of a cross-validated run that train members and let them answer.

What must stay true: a fold's members see nothing of the studies that the fold holds out, and these
alone are answered for; the points at which a classifier trains come from detectors that never saw
those studies; each output names its member, set and fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumbargrade.classifier.dataset import cut_studies
from lumbargrade.classifier.infer import grade_point_sets, load_classifier
from lumbargrade.classifier.train import FIRST_STEP, train_classifier
from lumbargrade.competition import write_submission
from lumbargrade.config import (
    ClassifierMember,
    ClassifierSettings,
    DetectorMember,
    DetectorSettings,
)
from lumbargrade.crops import cut_crops
from lumbargrade.detector.infer import find_landmarks, load_detector
from lumbargrade.detector.train import train_detector
from lumbargrade.folds import Fold
from lumbargrade.judged_cells import as_judged
from lumbargrade.labels import VIEWS, View
from lumbargrade.member_files import take_first_step, write_studies
from lumbargrade.metric import reweight_for_metric
from lumbargrade.out_of_fold import (
    LANDMARKS,
    Landmarks,
    append_landmarks,
    read_landmarks,
    repair_landmarks,
    write_points_table,
)
from lumbargrade.pipeline import choose_device
from lumbargrade.point_sets import mean_landmarks, shared_crops
from lumbargrade.prepared import PreparedStudies, StudyFacts
from lumbargrade.recipe_settings import MEAN_POINTS, Recipe
from lumbargrade.run_layout import (
    FOLDS,
    answers_file,
    answers_step,
    answers_table,
    classifier_step,
    detector_step,
    first_step,
    points_file,
    points_step,
    read_folds,
)
from lumbargrade.steps import Step
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import OnEpoch
from lumbargrade.training_crops import cut_training_crops


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSteps:
    """Makes the steps of one run; what they need to work."""

    recipe: Recipe
    run: Path
    cache: Path
    facts: dict[str, StudyFacts]
    device: str
    stop: Stop
    on_epoch: OnEpoch | None = None

    def steps(self) -> list[Step]:
        """Detectors, points, classifiers, answers, in an order in which they can be done."""
        folds, setups = range(self.recipe.folds or 0), self.recipe.classifiers
        return [
            *(
                self._detector(name, view, fold)
                for fold in folds
                for name in self.recipe.detectors
                for view in VIEWS
            ),
            *(self._points(name, fold) for fold in folds for name in self.recipe.detectors),
            *(self._mean_points(fold) for fold in folds if len(self.recipe.detectors) > 1),
            *self._graders([key for key, item in setups.items() if not item.judges]),
            *self._graders([key for key, item in setups.items() if item.judges]),
        ]

    def _graders(self, names: Sequence[str]) -> list[Step]:
        """Classifiers, then their answers, of which later classifiers' training may depend."""
        folds = range(self.recipe.folds or 0)
        return [
            *(step for fold in folds for name in names for step in self._classifier(name, fold)),
            *(self._answers(name, fold) for fold in folds for name in names),
        ]

    def _detector(self, name: str, view: View, fold: int) -> Step:
        of_set = self.recipe.detectors[name]
        settings: DetectorSettings = getattr(of_set, view.value)
        member = DetectorMember(view=view.value, seed=of_set.seed, detector=settings)

        def work(folder: Path) -> None:
            part = self._fold(fold)
            training, validation = (
                self._of_view(part.training, view),
                self._of_view(part.validation, view),
            )
            write_studies(folder, training, validation)
            train_detector(
                view, settings, training, validation, folder, of_set.seed,
                device=self.device, on_epoch=self.on_epoch, stop=self.stop,
            )  # fmt: skip

        return Step(
            name=detector_step(name, view, fold),
            kind=f"detector {name} {view}",
            settings=member.model_dump(mode="json"),
            after=(FOLDS,),
            work=work,
            uses_device=True,
        )

    def _points(self, name: str, fold: int) -> Step:
        members = {view: detector_step(name, view, fold) for view in VIEWS}

        def work(folder: Path) -> None:
            studies = self._studies(self._fold(fold).held_out)
            known = repair_landmarks(folder / LANDMARKS)
            left = [study_id for study_id in studies.study_ids if study_id not in known]
            if left:
                detectors = {
                    view: load_detector(self.run / members[view], self.device) for view in VIEWS
                }
                for study in self._studies(left):
                    with self.stop.held():
                        found = find_landmarks(detectors, study.volumes, follow=self.recipe.follow)
                        append_landmarks(folder / LANDMARKS, study.study_id, found)
                        known[study.study_id] = found
            write_points_table(folder / points_file(name, fold), studies, known)

        return Step(
            name=points_step(name, fold),
            kind=f"points {name}",
            settings={"follow": True} if self.recipe.follow else {},
            after=(FOLDS, *members.values()),
            work=work,
            uses_device=True,
        )

    def _mean_points(self, fold: int) -> Step:
        sets = [points_step(name, fold) for name in self.recipe.detectors]

        def work(folder: Path) -> None:
            found = [read_landmarks(self.run / step / LANDMARKS) for step in sets]
            means = {
                study_id: mean_landmarks([of_set[study_id] for of_set in found])
                for study_id in found[0]
            }
            (folder / LANDMARKS).unlink(missing_ok=True)
            for study_id, landmarks in means.items():
                append_landmarks(folder / LANDMARKS, study_id, landmarks)
            studies = self._studies(list(means))
            write_points_table(folder / points_file(MEAN_POINTS, fold), studies, means)

        return Step(
            name=points_step(MEAN_POINTS, fold),
            kind="mean points",
            settings={},
            after=tuple(sets),
            work=work,
        )

    def _classifier(self, name: str, fold: int) -> list[Step]:
        setup = self.recipe.classifiers[name]
        whole = setup.classifier
        alone = whole.model_copy(update={"weighted_fit": None, "weighted_fit_frozen": True})
        others = self._others(fold)
        judged = (answers_step(judge, other) for judge in setup.judges for other in others)
        rules = {"leave_out": setup.leave_out, "fill_in": setup.fill_in}
        inputs = (FOLDS, *(points_step(setup.points, other) for other in others), *judged)

        def step(place: str, settings: ClassifierSettings, before: str | None = None) -> Step:
            def work(folder: Path) -> None:
                if before is not None:
                    take_first_step(self.run / before, folder / FIRST_STEP)
                self._train_classifier(name, settings, fold, folder)

            member = ClassifierMember(crops=setup.crops, classifier=settings)
            return Step(
                name=place,
                kind=f"classifier {name}, step {1 if before is None else 2}",
                settings={
                    "seed": setup.seed,
                    **member.model_dump(mode="json"),
                    **{
                        name: rule.model_dump(mode="json")
                        for name, rule in rules.items()
                        if rule is not None
                    },
                },
                after=inputs if before is None else (*inputs, before),
                work=work,
                uses_device=True,
            )

        place = classifier_step(name, fold)
        if whole.weighted_fit is None:
            return [step(place, whole)]
        before = first_step(name, fold)
        return [step(before, alone), step(place, whole, before)]

    def _train_classifier(
        self, name: str, settings: ClassifierSettings, fold: int, folder: Path
    ) -> None:
        setup = self.recipe.classifiers[name]
        part = self._fold(fold)
        landmarks = self._found_points(setup.points)
        own = self.recipe.model_copy(update={"crops": setup.crops, "classifier": settings})
        training = self._studies(part.training)
        crops, errors = cut_training_crops(own, training, landmarks)
        tables = {
            judge: [
                self.run / answers_table(judge, self.recipe.classifiers[judge].points, other)
                for other in self._others(fold)
            ]
            for judge in setup.judges
        }
        crops = as_judged(crops, setup, tables, folder)
        validation = self._studies(part.validation)
        write_studies(folder, training, validation)
        train_classifier(
            settings, setup.crops, crops, cut_studies(validation, landmarks, setup.crops),
            folder, setup.seed,
            device=self.device, on_epoch=self.on_epoch, stop=self.stop, errors=errors,
        )  # fmt: skip

    def _answers(self, name: str, fold: int) -> Step:
        sets = list(self.recipe.detectors)
        sets += [MEAN_POINTS] if len(sets) > 1 else []
        points = [points_step(of_set, fold) for of_set in sets]
        member = classifier_step(name, fold)
        merge_px = self.recipe.ensemble.merge_px

        def work(folder: Path) -> None:
            classifier = load_classifier(self.run / member, choose_device(self.device))
            found = [read_landmarks(self.run / step / LANDMARKS) for step in points]
            answers: dict[str, np.ndarray] = {}
            for study in self._studies(self._fold(fold).held_out):
                with self.stop.held():
                    landmarks = [of_set[study.study_id] for of_set in found]
                    same = shared_crops(study.volumes, landmarks, classifier.crops, merge_px)
                    crops = [
                        cut_crops(study.volumes, of_set, classifier.crops) for of_set in landmarks
                    ]
                    answers[study.study_id] = grade_point_sets(classifier, crops, same)
            for index, of_set in enumerate(sets):
                write_submission(
                    folder / answers_file(name, of_set, fold),
                    {key: reweight_for_metric(rows[index]) for key, rows in answers.items()},
                )

        return Step(
            name=answers_step(name, fold),
            kind=f"answers {name}",
            settings={"merge_px": merge_px, "sets": sets},
            after=(FOLDS, member, *points),
            work=work,
            uses_device=True,
        )

    def _others(self, fold: int) -> list[int]:
        return [other for other in range(self.recipe.folds or 0) if other != fold]

    def _fold(self, fold: int) -> Fold:
        return read_folds(self.run)[fold]

    def _found_points(self, name: str) -> dict[str, Landmarks]:
        """The set's points of all studies, each found by detectors that never saw it."""
        found: dict[str, Landmarks] = {}
        for fold in range(self.recipe.folds or 0):
            found |= read_landmarks(self.run / points_step(name, fold) / LANDMARKS)
        return found

    def _studies(self, study_ids: Sequence[str]) -> PreparedStudies:
        return PreparedStudies(self.cache, study_ids)

    def _of_view(self, study_ids: Sequence[str], view: View) -> PreparedStudies:
        return self._studies([item for item in study_ids if view in self.facts[item].views])
