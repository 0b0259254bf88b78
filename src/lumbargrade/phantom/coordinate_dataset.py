"""Mid-sagittal T2 slices of synthetic studies as plain images, with their five disc points.

What must stay true: the layout is the public coordinate dataset's; points are those of
``phantom_truth.csv`` (posterior disc margin at the midline), projected on the slice; the image of a
seed is the same whatever the number of studies and workers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from PIL import Image

from lumbargrade.atomic_files import write_beside
from lumbargrade.competition.coordinate_images import (
    GRID_PX,
    CoordinateImage,
    image_path,
    write_coordinate_table,
)
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import View
from lumbargrade.phantom.acquisition import Scanner
from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.body import build_body
from lumbargrade.phantom.dataset import study_id_of
from lumbargrade.phantom.labels import DEFAULT_HALO, label_model
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.protocol import plan_study
from lumbargrade.phantom.slip import with_slip
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.study import scan_series, stored_affines
from lumbargrade.phantom.tissue import Sequence, Tissue, tissue_signals
from lumbargrade.worker_pool import each

SOURCE = "phantom"
"""What the table calls the collection."""

JPEG_QUALITY = 95
WINDOW_PERCENTILES = (1, 99)
"""Of a slice; they become black and white."""

_PLAIN_T2 = (100.0, 3500.0)
"""Echo and repetition time (ms) in place of a STIR's: the public images are all plain T2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    out: Path
    seed: int
    halo: float


def write_coordinate_dataset(
    out: Path,
    *,
    studies: int,
    seed: int,
    workers: int = 1,
    halo: float = DEFAULT_HALO,
    on_study: Callable[[], None] | None = None,
) -> None:
    """Write ``coords_pretrain.csv`` and one JPEG per study under ``data/processed_phantom_jpgs``.

    Args:
        out: folder of the dataset.
        studies: how many.
        seed: of the first; the others follow.
        workers: processes.
        halo: see :func:`lumbargrade.phantom.labels.label_model`.
        on_study: called after each study, for progress.
    """
    image_path(out, SOURCE, "").mkdir(parents=True, exist_ok=True)
    requests = [_Request(out=out, seed=seed + k, halo=halo) for k in range(studies)]
    images = []
    for image in each(_make_one, requests, workers=workers):
        images.append(image)
        if on_study is not None:
            on_study()
    write_coordinate_table(out, images)


def _make_one(request: _Request) -> CoordinateImage:
    seed = request.seed
    severity = label_model(request.halo).draw_severity(seed)
    spine = with_slip(seed, build_spine(seed), severity)
    anatomy = solve_anatomy(seed, spine, severity)
    pixels, points = mid_slice(seed, spine, anatomy)
    path = image_path(request.out, SOURCE, f"{study_id_of(seed)}_t2.jpg")
    write_beside(path, _as_jpeg(pixels))
    present = np.all((points >= 0) & (points < GRID_PX), axis=1)
    return CoordinateImage(path=path, source=SOURCE, points=points, present=present)


def mid_slice(
    seed: int, spine: Spine, anatomy: Anatomy
) -> tuple[NDArray[np.uint16], Float64[np.ndarray, "5 2"]]:
    """Scan the planned sagittal T2 slice that lies nearest to the discs' midline.

    Returns:
        Pixels (row, column), and the disc points (x, y) on the 256 grid, by level.
    """
    (planned,) = [p for p in plan_study(seed, spine) if p.view is View.SAGITTAL_T2]
    discs = np.array([spine.to_lps(0.0, level.bulge_mm, level.s_mm) for level in anatomy.levels])
    distances = [
        abs(lps_to_slices(affine[None], discs.mean(axis=0))[0, 0]) for affine in planned.affines
    ]
    middle = int(np.argmin(distances))
    protocol = replace(
        planned,
        sequence=_without_inversion(planned.sequence),
        affines=planned.affines[middle : middle + 1],
    )
    signals = tissue_signals(seed, protocol.sequence)[None]
    scanner = Scanner(
        spine, paint_spine(seed, spine, anatomy, signals), build_body(seed, spine, signals), 0
    )
    rng = generator(seed, Stream.COORDINATES)
    (pixels,) = scan_series(rng, scanner, protocol, float(signals[0, Tissue.CSF]))
    affine = stored_affines(protocol)
    row_column = np.array([lps_to_slices(affine, point)[0, 1:] for point in discs])
    points: Float64[np.ndarray, "5 2"] = (
        row_column[:, ::-1] * GRID_PX / np.array(pixels.shape[::-1])
    )
    return pixels, points


def _without_inversion(sequence: Sequence) -> Sequence:
    if sequence.inversion_time_ms is None:
        return sequence
    echo, repetition = _PLAIN_T2
    return replace(
        sequence, echo_time_ms=echo, repetition_time_ms=repetition, inversion_time_ms=None
    )


def _as_jpeg(pixels: NDArray[np.uint16]) -> bytes:
    low, high = np.percentile(pixels, WINDOW_PERCENTILES)
    grey = np.clip((pixels - low) * (255 / max(high - low, 1)), 0, 255)
    buffer = BytesIO()
    Image.fromarray(np.rint(grey).astype(np.uint8)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
