"""The one measure that each graded space is graded by, and the severity it stands for.

What must stay true: each measure is monotone in its severity S, and is taken on
the noise-free geometry at ``GRID_MM``.
"""

import numpy as np

from lumbargrade.labels import Family, Side

CANAL_CAP_MM2 = 260.0
RECESS_CAP_MM, RECESS_FLOOR_MM = 8.0, 0.2
FORAMEN_CAP_MM = 4.0
GRID_MM = 0.25
"""Resolution at which measures are taken."""

CANAL_REACH_MM = 4.0
"""The sac is measured within this distance of the disc."""

SIDE_SIGN = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
"""Sign of x on each side."""

BISECTIONS = 26
"""Halvings when a cause is solved for."""


def measure_at_severity(family: Family, severity: float, size: float) -> float:
    """The measure (mm² or mm) that a severity asks for in a patient of size k."""
    if family is Family.CANAL:
        unit = 100 * np.exp(-0.45 * severity) if severity >= 0 else 100 - 45 * severity
        return float(size**2 * min(unit, CANAL_CAP_MM2))
    if family is Family.SUBARTICULAR:
        return float(size * np.clip(3.5 - 1.5 * severity, RECESS_FLOOR_MM, RECESS_CAP_MM))
    return float(size * min(1.3 - 1.3 * severity, FORAMEN_CAP_MM))


def severity_of_measure(family: Family, measure: float, size: float, drawn: float) -> float:
    """Inverse of :func:`measure_at_severity`; the drawn severity where a cap or floor is active."""
    if family is Family.CANAL:
        unit = measure / size**2
        if 100 - 45 * drawn > CANAL_CAP_MM2:
            return drawn
        return float(-np.log(unit / 100) / 0.45) if unit < 100 else (100 - unit) / 45
    unit = measure / size
    if family is Family.SUBARTICULAR:
        capped = not RECESS_FLOOR_MM <= 3.5 - 1.5 * drawn <= RECESS_CAP_MM
        return drawn if capped else (3.5 - unit) / 1.5
    return drawn if 1.3 - 1.3 * drawn > FORAMEN_CAP_MM else (1.3 - unit) / 1.3
