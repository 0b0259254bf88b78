"""Named array types: the shapes and units that travel between modules.

What must stay true: a type here names its axes; shapes are checked in tests (jaxtyping with
beartype) and cost nothing in production.
"""

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

Pixels = Float32[np.ndarray, "row column"]
"""One slice after the modality LUT, arbitrary signal units."""

Affine = Float64[np.ndarray, "4 4"]
"""(slice, row, column, 1) → patient LPS in mm, for one slice: slice 0 is the slice itself."""

Affines = Float64[np.ndarray, "slice 4 4"]
"""One affine per slice."""

Point = Float64[np.ndarray, "3"]
"""A position in patient LPS, mm."""

Points = Float64[np.ndarray, "*point 3"]
"""Positions in patient LPS, mm."""

Labels = Int[np.ndarray, "25"]
"""Grades 0, 1, 2 in target order; ``labels.MISSING_GRADE`` where unlabelled."""

Probabilities = Float[np.ndarray, "25 3"]
"""One row per target in target order, one column per grade; rows sum to 1."""
