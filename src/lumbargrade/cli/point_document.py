"""What is known about predicted points as one JSON document.

What must stay true: figures by view stand at the top level under the view's name, over all under
``all``; ``interval`` repeats the shape of the document; nothing is rounded.
"""

from dataclasses import asdict
from typing import Any

from lumbargrade.evaluation_points import PointEvaluation
from lumbargrade.labels import VIEWS
from lumbargrade.point_errors import PointError
from lumbargrade.point_histograms import PX_EDGES, error_histogram
from lumbargrade.point_intervals import FigureIntervals, PointIntervals
from lumbargrade.point_reliability import score_reliability

WORST_POINTS = 10
"""So many points are listed, the farthest first."""


def point_document(evaluation: PointEvaluation) -> dict[str, Any]:
    """Everything about predicted points."""
    document: dict[str, Any] = {
        "studies": evaluation.studies,
        "studies_without_points": evaluation.studies_without_points,
    }
    document |= {view.value: asdict(figures) for view, figures in evaluation.by_view.items()}
    document["all"] = asdict(evaluation.overall)
    document["by_condition"] = {c.value: asdict(f) for c, f in evaluation.by_condition.items()}
    document["by_level"] = {level.value: asdict(f) for level, f in evaluation.by_level.items()}
    document["by_target"] = {t.column: asdict(f) for t, f in evaluation.by_target.items()}
    document["histogram"] = {"px_edges": list(PX_EDGES)} | {
        view.value: asdict(error_histogram(evaluation.errors, view)) for view in VIEWS
    }
    document["score_reliability"] = {
        view.value: asdict(score_reliability(evaluation.errors, view)) for view in VIEWS
    }
    document["worst"] = [_point(error) for error in evaluation.errors[:WORST_POINTS]]
    if evaluation.intervals is not None:
        document |= _intervals(evaluation.intervals)
    return document


def _point(error: PointError) -> dict[str, Any]:
    marked, predicted = error.marked, error.predicted
    return {
        "row_id": error.target.row_id(error.study_id),
        "study_id": error.study_id,
        "condition": error.target.condition.value,
        "level": error.target.level.value,
        "px": error.px,
        "mm": error.distance_mm,
        "mm_in_plane": error.in_plane_mm,
        "mm_along_z": error.along_z_mm,
        "slices_off": error.slices_off,
        "level_correct": error.level_correct,
        "side_correct": error.side_correct,
        "score": predicted.score,
        "marked": {
            "series_id": marked.series_id,
            "instance_number": marked.instance_number,
            "x": marked.column,
            "y": marked.row,
        },
        "predicted": {
            "series_id": predicted.series_id,
            "instance_number": predicted.instance_number,
            "x": predicted.column,
            "y": predicted.row,
        },
    }


def _intervals(intervals: PointIntervals) -> dict[str, Any]:
    interval: dict[str, Any] = {v.value: _ends(found) for v, found in intervals.by_view.items()}
    interval["all"] = _ends(intervals.overall)
    interval["by_condition"] = {c.value: _ends(f) for c, f in intervals.by_condition.items()}
    interval["by_level"] = {level.value: _ends(f) for level, f in intervals.by_level.items()}
    bootstrap = {"resamples": intervals.resamples, "seed": intervals.seed}
    return {"interval": interval, "bootstrap": bootstrap}


def _ends(figures: FigureIntervals) -> dict[str, list[float] | None]:
    return {
        name: None if interval is None else [interval.low, interval.high]
        for name, interval in figures.items()
    }
