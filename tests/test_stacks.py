"""Slices become stacks in geometric order, whatever the order of the files."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fake_geometry import (
    SIGNED_AXES,
    Array,
    directions,
    orientations,
    rotation,
    series,
    tilted,
    tilted_orientation,
)
from lumbargrade import geometry
from lumbargrade.geometry import Plane
from lumbargrade.stacks import group_into_stacks


@settings(max_examples=60)
@given(orientations, directions, st.floats(-30, 30), st.permutations(list(range(7))))
def test_slice_order_is_geometric_whatever_the_file_order(
    axes: tuple[Array, Array], axis: Array, degrees: float, shuffle: list[int]
) -> None:
    turn = rotation(axis, degrees)
    positions, orientation, _ = series(turn @ axes[0], turn @ axes[1])
    (stack,) = group_into_stacks(positions[shuffle], orientation)
    normal = turn @ np.cross(axes[0], axes[1])
    direction = geometry.ORDER_DIRECTION[geometry.plane_of(normal)]
    ordered = positions[shuffle][stack]
    along = normal if normal @ direction > 0 else -normal
    np.testing.assert_allclose(np.diff(ordered @ along), 4.0, atol=1e-9)


def test_sagittal_slices_run_right_to_left_and_axial_head_to_foot() -> None:
    for along_columns, along_rows in SIGNED_AXES:
        positions, orientation, _ = series(along_columns, along_rows)
        (stack,) = group_into_stacks(positions, orientation)
        steps = np.diff(positions[stack], axis=0)
        plane = geometry.plane_of(np.cross(along_columns, along_rows))
        if plane is Plane.SAGITTAL:
            assert (steps[:, 0] > 0).all()  # +x is the patient's left
        elif plane is Plane.AXIAL:
            assert (steps[:, 2] < 0).all()  # +z is the head


def test_blocks_tilted_to_their_discs_are_stacks_ordered_by_their_centres() -> None:
    tilts = (7.0, 4.0, -4.0, -12.0, -28.0)
    centres = [tilted(t, slices=7, centre=np.array([0, 0, -35.0 * i])) for i, t in enumerate(tilts)]
    orientation = np.concatenate([tilted_orientation(t, 7) for t in tilts])
    shuffle = np.random.default_rng(0).permutation(35)
    stacks = group_into_stacks(np.concatenate(centres)[shuffle], orientation[shuffle])
    assert [sorted(shuffle[stack] // 7) for stack in stacks] == [[i] * 7 for i in range(5)]
    assert all((np.diff(shuffle[stack]) == 1).all() for stack in stacks)


@given(st.floats(0.3, 1.7), st.integers(4, 9), st.integers(4, 9))
def test_overlapping_parallel_blocks_are_never_interleaved(
    offset_mm: float, first: int, second: int
) -> None:
    upper = np.array([0.0, 0, -4.0]) * np.arange(first)[:, None]
    lower = upper[-3] + [0, 0, -offset_mm] + np.array([0.0, 0, -4.0]) * np.arange(second)[:, None]
    centres = np.concatenate([upper, lower])
    stacks = group_into_stacks(centres, tilted_orientation(0, first + second))
    blocks = sorted([np.arange(first).tolist(), np.arange(first, first + second).tolist()])
    assert sorted(stack.tolist() for stack in stacks) == blocks


def test_parallel_blocks_that_lie_apart_are_two_stacks_and_one_missing_slice_is_bridged() -> None:
    z = -np.array([0.0, 4, 8, 12, 27, 31, 35])
    centres = np.stack([np.zeros(7), np.zeros(7), z], axis=1)
    stacks = group_into_stacks(centres, tilted_orientation(0, 7))
    assert [stack.tolist() for stack in stacks] == [[0, 1, 2, 3], [4, 5, 6]]
    z[4:] += 8.4  # 6.6 mm after the last of the upper block: no whole number of steps
    stacks = group_into_stacks(np.stack([z * 0, z * 0, z], axis=1), tilted_orientation(0, 7))
    assert [stack.tolist() for stack in stacks] == [[0, 1, 2, 3], [4, 5, 6]]
    stacks = group_into_stacks(centres[[0, 1, 3]], tilted_orientation(0, 3))
    assert [stack.tolist() for stack in stacks] == [[0, 1, 2]]


def test_a_one_slice_stack_is_a_stack() -> None:
    (stack,) = group_into_stacks(np.zeros((1, 3)), tilted_orientation(0, 1))
    assert stack.tolist() == [0]


def test_a_block_tilted_by_48_degrees_belongs_to_its_axial_series() -> None:
    tilts = (0.0, -20.0, -48.0)
    centres = [tilted(t, slices=5, centre=np.array([0, 0, -35.0 * i])) for i, t in enumerate(tilts)]
    orientation = np.concatenate([tilted_orientation(t, 5) for t in tilts])
    stacks = group_into_stacks(np.concatenate(centres), orientation)
    assert np.concatenate(stacks).tolist() == list(range(15))
    steep = geometry.slice_affine((0, 0, 0), orientation[-1], (0.5, 0.5), 4.0)
    assert geometry.plane_of(geometry.normal_of(steep)) is Plane.CORONAL
    assert geometry.canonical_axes(steep, Plane.AXIAL) == (False, False, False)


STEEPEST_DEG = -65.0
"""With a first block at +5°: 70° apart at most, or the series serves no view."""


@st.composite
def tilted_series(draw: st.DrawFn) -> tuple[list[float], list[int], list[int]]:
    """Tilts of neighbouring blocks (2° or more apart), slices of each, and the files' order."""
    steps = draw(st.lists(st.floats(2, 16), min_size=1, max_size=5))
    block_tilts = (draw(st.floats(2, 7)) - np.cumsum(steps)).tolist()
    block_tilts = [tilt for tilt in block_tilts if tilt > STEEPEST_DEG]
    slices = [draw(st.integers(2, 7)) for _ in block_tilts]
    assume(np.average(block_tilts, weights=slices) > -40)  # else the series is coronal
    return block_tilts, slices, draw(st.permutations(range(sum(slices))))


@given(tilted_series(), st.booleans(), st.booleans())
def test_tilted_blocks_come_out_whole_and_head_to_foot(
    blocks: tuple[list[float], list[int], list[int]], upside_down: bool, mirrored: bool
) -> None:
    """Whichever way the stored rows and columns run, and in whatever order the files come."""
    block_tilts, counts, shuffle = blocks
    centres = np.concatenate(
        [
            tilted(t, slices=n, centre=np.array([0, 0, -40.0 * i]))
            for i, (t, n) in enumerate(zip(block_tilts, counts, strict=True))
        ]
    )
    orientation = np.concatenate(
        [tilted_orientation(t, n) for t, n in zip(block_tilts, counts, strict=True)]
    )
    orientation[:, :3] *= -1 if mirrored else 1
    orientation[:, 3:] *= -1 if upside_down else 1
    stacks = group_into_stacks(centres[shuffle], orientation[shuffle])
    assert [len(stack) for stack in stacks] == counts
    found = np.concatenate([np.array(shuffle)[stack] for stack in stacks])
    assert found.tolist() == list(range(sum(counts)))


@given(orientations, directions, st.floats(-30, 30), st.integers(4, 12), st.data())
def test_a_missing_slice_is_bridged_in_any_orientation(
    axes: tuple[Array, Array], axis: Array, degrees: float, slices: int, data: st.DataObject
) -> None:
    turn = rotation(axis, degrees)
    positions, orientation, _ = series(turn @ axes[0], turn @ axes[1], slices=slices)
    gone = data.draw(st.integers(1, slices - 2))
    kept = data.draw(st.permutations([k for k in range(slices) if k != gone]))
    (stack,) = group_into_stacks(positions[kept], orientation[kept])
    order = np.array(kept)[stack].tolist()
    assert order in (sorted(kept), sorted(kept, reverse=True))


@given(orientations, directions, st.floats(-30, 30), st.permutations(list(range(8))))
def test_shuffled_input_gives_the_same_slices_in_the_same_order(
    axes: tuple[Array, Array], axis: Array, degrees: float, shuffle: list[int]
) -> None:
    turn = rotation(axis, degrees)
    positions, orientation, _ = series(turn @ axes[0], turn @ axes[1], slices=8)
    (straight,) = group_into_stacks(positions, orientation)
    (shuffled,) = group_into_stacks(positions[shuffle], orientation[shuffle])
    assert np.array(shuffle)[shuffled].tolist() == straight.tolist()
