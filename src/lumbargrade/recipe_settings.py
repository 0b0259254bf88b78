"""Settings of a whole training: which studies, which members, and what becomes of their answers.

What must stay true: a recipe trains on one split or on folds, never on both; each member's settings
are complete, those of the recipe where the member says nothing else.
"""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator

from lumbargrade.config import ClassifierSettings, DetectorSettings
from lumbargrade.crop_settings import CropSettings
from lumbargrade.ensemble_settings import EnsembleSettings
from lumbargrade.settings import ConfigError, Settings, merged

MemberName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
"""Names folders; an underscore would blur where the name ends."""


class SplitSettings(Settings):
    """How the studies of a dataset are shared between the stages, as fractions of all studies."""

    detector: float = Field(default=0.42, gt=0, lt=1)
    detector_validation: float = Field(default=0.06, gt=0, lt=1)
    classifier_validation: float = Field(default=0.12, gt=0, lt=1)


class DetectorSet(Settings):
    """One stage-1 member of a cross-validated run: a detector for each view."""

    seed: int
    sagittal_t2: DetectorSettings
    sagittal_t1: DetectorSettings
    axial_t2: DetectorSettings


class DoubtSettings(Settings):
    """Which training cells a classifier leaves out because their grade is not credible."""

    judge: MemberName
    """The classifier whose out-of-fold answers judge, at the points at which it trained."""
    below: float = Field(default=0.05, gt=0, lt=1)
    """Its probability of the given grade under which a cell is left out, where it also sees
    another grade confidently."""


class PseudoLabelSettings(Settings):
    """Which training cells without a grade take one from another classifier."""

    judge: MemberName
    """As for ``leave_out``."""
    above: float = Field(default=0.95, gt=0.5, lt=1)
    """The probability that its likeliest grade must reach."""


class ClassifierSetup(Settings):
    """One stage-2 member of a cross-validated run."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"fill_in"})

    seed: int
    points: MemberName
    """The detector set at whose points it trains; the first one unless named."""
    crops: CropSettings
    classifier: ClassifierSettings
    leave_out: DoubtSettings | None = None
    """Training cells that are not trained on; None trains on all."""
    fill_in: PseudoLabelSettings | None = None
    """Training cells without a grade that get one; None trains on given grades alone."""

    @property
    def judges(self) -> tuple[str, ...]:
        """The classifiers that must have answered before this one trains."""
        rules = (self.leave_out, self.fill_in)
        return tuple(dict.fromkeys(rule.judge for rule in rules if rule is not None))


class Recipe(Settings):
    """A whole training: split or folds, stage 1, crops, stage 2."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"fit_any_severe"})

    name: str
    seed: int = 0
    data_licence: str = "not stated"
    """Of the training data; the manifest repeats it."""
    grade_marked_points: bool = False
    """Train the classifier on the detectors' studies too, cut at their marked points."""
    split: SplitSettings | None = SplitSettings()
    """Of one split with one member of each kind; null where there are ``folds``."""
    folds: int | None = Field(default=None, ge=2)
    """Cross-validate instead: every member is trained once per fold, on the other folds."""
    fold_validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the other folds' studies that chooses the epoch and does not train."""
    sagittal_t2: DetectorSettings = DetectorSettings()
    sagittal_t1: DetectorSettings = DetectorSettings()
    axial_t2: DetectorSettings = DetectorSettings()
    detectors: dict[MemberName, DetectorSet] = Field(default_factory=dict)
    """With ``folds``: sets of detectors by name; each says where it differs from the above."""
    crops: CropSettings = CropSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    classifiers: dict[MemberName, ClassifierSetup] = Field(default_factory=dict)
    """With ``folds``: classifiers by name; each says where it differs from the above."""
    ensemble: EnsembleSettings = EnsembleSettings()
    """With ``folds``: how the members' answers become one."""
    fit_any_severe: bool = False
    """Fit, with the temperatures, a factor on the odds of each study's largest canal answer q, for
    the metric's any-severe term; p stays as it is."""

    @classmethod
    def resolved(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Fill in each member's settings: the recipe's own, and what the member changes."""
        if not any(data.get(name) for name in ("folds", "detectors", "classifiers")):
            return data
        sets = data.get("detectors") or {"detector": {}}
        members = data.get("classifiers") or {"classifier": {}}
        if not isinstance(sets, dict) or not isinstance(members, dict):
            return data  # refused by the fields' types
        seed = data.get("seed", 0)
        shared = {"seed": seed, **{view: data.get(view, {}) for view in _VIEWS}}
        graded = {"seed": seed, "points": next(iter(sets))}
        graded |= {name: data.get(name, {}) for name in ("crops", "classifier")}
        return {
            **({"split": None} if data.get("folds") else {}),
            **data,
            "detectors": {name: merged(shared, item) for name, item in sets.items()},
            "classifiers": {name: merged(graded, item) for name, item in members.items()},
        }

    @property
    def follow(self) -> bool:
        """Whether a classifier's crops need the points' tracks."""
        return any(setup.crops.follow for setup in self._setups())

    def _setups(self) -> "tuple[ClassifierSetup | Recipe, ...]":
        return tuple(self.classifiers.values()) or (self,)

    @model_validator(mode="after")
    def _check_tracks(self) -> Self:
        for setup in self._setups():
            if setup.crops.follow and setup.classifier.augment.jitter_from_found:
                raise ValueError(
                    "crops.xy: dynamic and crops.mask follow the detectors' heatmaps, "
                    "jitter_from_found cuts at marked points, which have none: choose one"
                )
        if self.crops.follow and self.grade_marked_points:
            raise ValueError(
                "crops.xy: dynamic and crops.mask follow the detectors' heatmaps, "
                "grade_marked_points cuts at marked points, which have none: choose one"
            )
        return self

    @model_validator(mode="after")
    def _check_members(self) -> Self:
        if (self.split is None) == (self.folds is None):
            raise ValueError("give either split or folds")
        if self.folds is None and (self.detectors or self.classifiers):
            raise ValueError("several detectors or classifiers need folds in the place of split")
        if self.folds is not None and not (self.detectors and self.classifiers):
            raise ValueError("folds need at least one detector set and one classifier")
        if self.folds is not None and self.grade_marked_points:
            raise ValueError("grade_marked_points is of recipes with a split; folds need it not")
        if MEAN_POINTS in self.detectors:
            raise ValueError(f"detectors.{MEAN_POINTS}: this name stands for the sets' mean points")
        for name, member in self.classifiers.items():
            if member.points not in self.detectors:
                raise ValueError(
                    f"classifiers.{name}.points: found {member.points}, "
                    f"expected one of {', '.join(self.detectors)}"
                )
            self._check_judge(name, member)
        return self

    def _check_judge(self, name: str, member: ClassifierSetup) -> None:
        judges = [key for key, item in self.classifiers.items() if not item.judges]
        for rule in ("leave_out", "fill_in"):
            judge = getattr(getattr(member, rule), "judge", None)
            if judge is not None and judge not in judges:
                raise ValueError(
                    f"classifiers.{name}.{rule}.judge: found {judge}, expected a classifier that "
                    f"has no judge itself: {', '.join(judges) or 'there is none'}"
                )


MEAN_POINTS = "mean"
"""The detector sets' mean points, where a set's name would stand."""

_VIEWS = ("sagittal_t2", "sagittal_t1", "axial_t2")


def split_of(recipe: Recipe) -> SplitSettings:
    """The split of a recipe with one member of each kind.

    Raises:
        ConfigError: the recipe has folds.
    """
    if recipe.split is None:
        raise ConfigError(
            f"recipe {recipe.name} has folds; `lumbargrade train` trains its members, this wants "
            "a recipe with a split"
        )
    return recipe.split
