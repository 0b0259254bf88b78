"""One view's volume → its points, with the view's trained detector.

What must stay true: a point lies on a slice of its own view; leaving slices unsegmented changes no
point.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.model import Detector
from lumbargrade.detector.scores import score_maps, score_maps_of_best
from lumbargrade.detector.track import track_of
from lumbargrade.detector.view_points import ViewPoints, decode_view, wanted_places
from lumbargrade.records import ViewVolume
from lumbargrade.volumes import image_shapes, square_volume


def find_in_view(
    detector: Detector,
    volume: ViewVolume,
    levels_lps_mm: Float64[np.ndarray, "5 3"],
    *,
    skip: bool = True,
    follow: bool = False,
    all_shown: bool = False,
) -> ViewPoints:
    """Find the points of one view.

    Args:
        detector: of this view.
        volume: the view.
        levels_lps_mm: where sagittal T2 shows the levels, NaN where unknown.
        skip: leave slices unsegmented that cannot change the answer; False to compare.
        follow: give each point its track, for which every slice is segmented.
        all_shown: it is known that a sagittal view shows all five levels.
    """
    maps = view_maps(detector, volume, levels_lps_mm, skip=skip and not follow)
    found = decode_view(
        detector.view,
        maps,
        image_shapes(volume),
        volume.affines,
        levels_lps_mm,
        decoding=detector.settings.decoding,
        cross_view=detector.settings.cross_view,
        low_confidence=detector.settings.low_confidence,
        all_shown=all_shown,
    )
    if not follow:
        return found
    tracks = [
        track_of(maps, volume.stack_ids, channel, position) if np.isfinite(position).all() else None
        for channel, position in enumerate(found.positions_lps_mm)
    ]
    return replace(found, tracks=tuple(tracks))


def view_maps(
    detector: Detector,
    volume: ViewVolume,
    levels_lps_mm: Float64[np.ndarray, "5 3"],
    *,
    skip: bool = True,
) -> ScoreMaps:
    """What the network says about one view, with 0 in heatmaps that are not looked at.

    Args:
        detector: of this view.
        volume: the view.
        levels_lps_mm: where sagittal T2 shows the levels, NaN where unknown.
        skip: as in :func:`find_in_view`.
    """
    settings = detector.settings
    square = square_volume(volume, settings.image_size)
    wanted = None
    if skip and can_skip_slices(detector):
        wanted = wanted_places(
            detector.view,
            image_shapes(volume),
            volume.affines,
            levels_lps_mm,
            len(detector.channels.landmarks),
            decoding=settings.decoding,
            cross_view=settings.cross_view,
        )
    if wanted is None:
        return score_maps(detector, square, volume.stack_ids, levels_lps_mm)
    return score_maps_of_best(detector, square, volume.stack_ids, levels_lps_mm, wanted)


def can_skip_slices(detector: Detector) -> bool:
    """Whether the pointer can be asked before any heatmap is made."""
    return not detector.settings.pointer_peaks and detector.settings.network == "2.5d"
