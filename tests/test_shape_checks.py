import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from lumbargrade.geometry import Plane, canonical_axes
from lumbargrade.labels import TARGETS
from lumbargrade.records import Landmark
from shape_checks import UNCHECKED


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
    loaded = {
        name: module
        for name, module in sys.modules.items()
        if name.startswith("lumbargrade.") and name.split(".")[1] not in UNCHECKED
    }
    assert loaded
    for name, module in loaded.items():
        assert "jaxtyping" in type(module.__loader__).__module__, name
