import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from lumbargrade.geometry import Plane, canonical_axes
from lumbargrade.records import Landmark
from lumbargrade.labels import TARGETS
from shape_checks import CHECKED_MODULES, UNCHECKED

def test_an_array_of_another_shape_is_refused_at_the_call() -> None:
    with pytest.raises(TypeCheckError, match="affine"):
        canonical_axes(np.eye(3), Plane.AXIAL)


def test_an_array_of_another_type_is_refused_at_the_call() -> None:
    with pytest.raises(TypeCheckError, match="affine"):
        canonical_axes(np.eye(4, dtype=np.float32), Plane.AXIAL)


def test_a_record_refuses_a_position_of_two_coordinates() -> None:
    with pytest.raises(TypeCheckError, match="position_lps_mm"):
        Landmark(target=TARGETS[0], position_lps_mm=np.zeros(2), score=1.0)


def test_no_module_escaped_the_hook() -> None:
    loaded = {name for name in sys.modules if name.startswith("lumbargrade.")}
    rooms = {name.split(".")[1] for name in loaded} - UNCHECKED
    assert {f"lumbargrade.{room}" for room in rooms} <= set(CHECKED_MODULES)
    for name in loaded:
        if name.split(".")[1] in rooms:
            assert "jaxtyping" in vars(sys.modules[name]), name
