"""Loss, AUC, kappa and calibration error of every group on many sets of drawn studies at once.

What must stay true: with each study taken once, these are the figures of ``breakdown.py``; all but
the AUC follow from sums over studies, and the AUC from sums over runs of equally ranked rows, so
that no draw needs a sort.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Num
from scipy.sparse import csr_array

from lumbargrade.agreement import CALIBRATION_BINS, probability_bins, severity_questions
from lumbargrade.breakdown import GROUP_CELLS
from lumbargrade.labels import GRADES, MISSING_GRADE, TARGETS
from lumbargrade.metric import StudyAnswers, StudyLabels, row_losses, undo_metric_weights

_SQUARED_STEP = np.subtract.outer(np.arange(len(GRADES)), np.arange(len(GRADES))) ** 2.0

Times = Float64[np.ndarray, "draw study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDraws:
    """Figures of the groups, one row a draw; NaN where a draw gives no value."""

    loss: Float64[np.ndarray, "draw group"]
    auc: Float64[np.ndarray, "draw group"]
    kappa: Float64[np.ndarray, "draw group"]
    calibration_error: Float64[np.ndarray, "draw group 3"]

    @classmethod
    def concatenate(cls, lots: Sequence["GroupDraws"]) -> Self:
        """Several lots of draws as one."""
        return cls(
            loss=np.concatenate([lot.loss for lot in lots]),
            auc=np.concatenate([lot.auc for lot in lots]),
            kappa=np.concatenate([lot.kappa for lot in lots]),
            calibration_error=np.concatenate([lot.calibration_error for lot in lots]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRuns:
    """The rows of one cell in order of their score, cut into runs of one class or of one score."""

    positives: csr_array
    negatives: csr_array
    """(run, study): 1 where the run holds the study's row."""

    @classmethod
    def of(
        cls,
        positive: Bool[np.ndarray, "study"],
        score: Float64[np.ndarray, "study"],
        labelled: Bool[np.ndarray, "study"],
    ) -> Self | None:
        """Cut one cell's labelled rows; None where one class is absent."""
        studies = np.flatnonzero(labelled)
        order = studies[np.argsort(score[studies], kind="stable")]
        is_positive = positive[order]
        if is_positive.all() or not is_positive.any():
            return None
        run = _runs(score[order], is_positive)
        shape = (int(run[-1]) + 1, len(labelled))
        parts = [
            csr_array(
                (np.ones(int(rows.sum()), dtype=np.float32), (run[rows], order[rows])), shape=shape
            )
            for rows in (is_positive, ~is_positive)
        ]
        return cls(positives=parts[0], negatives=parts[1])

    def auc(self, times: Float32[np.ndarray, "study draw"]) -> Float64[np.ndarray, "draw"]:
        """Area under the curve of each draw; NaN where one class is absent from it."""
        positives, negatives = self.positives @ times, self.negatives @ times  # (run, draw)
        below = np.cumsum(negatives, axis=0) - negatives / 2
        pairs = positives.sum(axis=0, dtype=np.float64) * negatives.sum(axis=0)
        return _ratio(np.einsum("rd,rd->d", positives, below, dtype=np.float64), pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementStatistics:
    """What each study adds to the figures of its cells."""

    loss: Float64[np.ndarray, "study 25"]
    weight: Float64[np.ndarray, "study 25"]
    confusion: Float[np.ndarray, "study 225"]
    """(cell, true grade, answered grade): 1 where the row is so."""
    calibration: Float[np.ndarray, "study 750"]
    """(cell, grade, bin): p − what happened, in the bin of p."""
    runs: tuple[tuple[RankRuns | None, ...], ...]
    """(question, cell)."""

    @classmethod
    def of(cls, labels: StudyLabels, answers: StudyAnswers) -> Self:
        """Prepare one submission."""
        labelled = labels != MISSING_GRADE
        loss, weight = row_losses(labels, answers)
        probabilities = undo_metric_weights(np.where(labelled[..., None], answers, 1.0))
        cells = range(len(TARGETS))
        return cls(
            loss=loss,
            weight=weight,
            confusion=_confusion(labels, probabilities, labelled),
            calibration=_calibration_gaps(labels, probabilities, labelled),
            runs=tuple(
                tuple(RankRuns.of(so[:, c], score[:, c], labelled[:, c]) for c in cells)
                for so, score in severity_questions(labels, answers)
            ),
        )

    def figures(self, times: Times) -> GroupDraws:
        """Compute every figure on each set of drawn studies.

        Args:
            times: how often each study is drawn.
        """
        narrow = times.astype(np.float32)
        size = len(GRADES)
        by_cell = (narrow @ self.confusion).reshape(len(times), len(TARGETS), size * size)
        counts = (GROUP_CELLS @ by_cell).reshape(len(times), -1, size, size)
        gaps = (narrow @ self.calibration).reshape(len(times), len(TARGETS), -1)
        by_bin = (GROUP_CELLS @ gaps).reshape(len(times), -1, size, CALIBRATION_BINS)
        rows = counts.sum(axis=(2, 3))
        return GroupDraws(
            loss=_ratio((times @ self.loss) @ GROUP_CELLS.T, (times @ self.weight) @ GROUP_CELLS.T),
            auc=self._aucs(times),
            kappa=_kappa(counts),
            calibration_error=_ratio(np.abs(by_bin).sum(axis=-1), rows[..., None]),
        )

    def _aucs(self, times: Times) -> Float64[np.ndarray, "draw group"]:
        by_study = np.ascontiguousarray(times.T, dtype=np.float32)  # whole numbers: exact
        absent = np.full(len(times), np.nan)
        questions = [
            np.stack([absent if run is None else run.auc(by_study) for run in cells], axis=1)
            for cells in self.runs
        ]
        means = np.stack([_mean_known(cells) for cells in questions])  # (question, draw, group)
        known = np.isfinite(means)
        return _ratio(np.where(known, means, 0.0).sum(axis=0), known.sum(axis=0))


def _runs(
    score: Float64[np.ndarray, "row"], positive: Bool[np.ndarray, "row"]
) -> Int[np.ndarray, "row"]:
    """Number the runs: rows of one score, joined with their neighbours where all are one class."""
    new_score = np.append(True, np.diff(score) > 0)
    group = np.cumsum(new_score) - 1
    share = np.bincount(group, weights=positive) / np.bincount(group)
    mixed = (share > 0) & (share < 1)
    starts = np.append(True, (np.diff(share) != 0) | mixed[1:])
    numbers: Int[np.ndarray, "row"] = (np.cumsum(starts) - 1)[group]
    return numbers


def _confusion(
    labels: StudyLabels,
    probabilities: Float64[np.ndarray, "study 25 3"],
    labelled: Bool[np.ndarray, "study 25"],
) -> Float[np.ndarray, "study 225"]:
    size = len(GRADES)
    column = np.arange(len(TARGETS)) * size * size + labels * size + probabilities.argmax(axis=-1)
    counts = np.zeros((len(labels), len(TARGETS) * size * size), dtype=np.float32)
    study, cell = np.nonzero(labelled)
    counts[study, column[study, cell]] = 1
    return counts


def _calibration_gaps(
    labels: StudyLabels,
    probabilities: Float64[np.ndarray, "study 25 3"],
    labelled: Bool[np.ndarray, "study 25"],
) -> Float[np.ndarray, "study 750"]:
    gap = probabilities - (labels[..., None] == np.arange(len(GRADES)))
    gap[~labelled] = 0
    cell_grade = np.arange(len(TARGETS) * len(GRADES)).reshape(len(TARGETS), len(GRADES))
    column = cell_grade * CALIBRATION_BINS + probability_bins(probabilities)
    gaps = np.zeros((len(labels), cell_grade.size * CALIBRATION_BINS), dtype=np.float32)
    np.put_along_axis(
        gaps, column.reshape(len(labels), -1), gap.reshape(len(labels), -1).astype(np.float32), 1
    )
    return gaps


def _kappa(counts: Float[np.ndarray, "draw group 3 3"]) -> Float64[np.ndarray, "draw group"]:
    observed = (counts * _SQUARED_STEP).sum(axis=(2, 3))
    truth, answer = counts.sum(axis=3), counts.sum(axis=2)
    by_chance = ((truth @ _SQUARED_STEP) * answer).sum(axis=2)
    return 1 - _ratio(observed * counts.sum(axis=(2, 3)), by_chance)


def _mean_known(cells: Float64[np.ndarray, "draw 25"]) -> Float64[np.ndarray, "draw group"]:
    """Mean over the cells of each group that have a value."""
    known = np.isfinite(cells)
    return _ratio(np.where(known, cells, 0.0) @ GROUP_CELLS.T, known @ GROUP_CELLS.T)


def _ratio(
    above: Float[np.ndarray, "..."], below: Num[np.ndarray, "..."]
) -> Float64[np.ndarray, "..."]:
    """Quotient in float64; NaN where the divisor is 0."""
    below = np.broadcast_to(below, above.shape)
    quotient: Float64[np.ndarray, "..."] = np.full(above.shape, np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient
