"""The measuring tools beside the package."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import fake_spine
from lumbargrade.competition.coordinate_images import (
    CoordinateImage,
    image_path,
    write_coordinate_table,
)
from lumbargrade.competition.truth import TruthPoint
from lumbargrade.labels import TARGETS, Family, View

TOOLS = Path(__file__).parents[1] / "tools"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_perfect_readers_error_is_that_of_a_fit_to_noisy_images() -> None:
    rng = np.random.default_rng(0)
    plain = rng.normal(100, 20, (3, 12, 12))
    derivatives = [rng.normal(0, 5, plain.shape) for _ in range(5)]
    noise = 4.0
    bound = tool("phantom_tau").smallest_error(plain, derivatives, 2, noise)
    gradients = np.gradient(plain, axis=1), np.gradient(plain, axis=2)
    columns = [*derivatives, plain, np.ones_like(plain), *gradients]
    jacobian = np.stack([column.ravel() for column in columns], axis=1)
    found = [
        np.linalg.lstsq(jacobian, rng.normal(0, noise, plain.size), rcond=None)[0][2]
        for _ in range(600)
    ]
    assert np.std(found) == pytest.approx(bound, rel=0.1)
    derivatives[2] = 0 * plain
    assert tool("phantom_tau").smallest_error(plain, derivatives, 2, noise) is None


def test_unknown_shapes_raise_the_error_to_that_of_a_fit_that_knows_their_spread() -> None:
    rng = np.random.default_rng(1)
    plain = rng.normal(100, 20, (3, 10, 10))
    derivatives = [rng.normal(0, 5, plain.shape) for _ in range(5)]
    shapes = [0.9 * derivatives[0] + rng.normal(0, 1, plain.shape) for _ in range(3)]
    noise = 4.0
    tau = tool("phantom_tau").smallest_error
    bound = tau(plain, derivatives, 0, noise, shapes)
    assert bound > 1.5 * tau(plain, derivatives, 0, noise)
    gradients = np.gradient(plain, axis=1), np.gradient(plain, axis=2)
    columns = [*derivatives, plain, np.ones_like(plain), *gradients, *shapes]
    jacobian = np.stack([column.ravel() for column in columns], axis=1) / noise
    known = np.zeros(len(columns))
    known[-3:] = 1
    solve = np.linalg.solve(jacobian.T @ jacobian + np.diag(known), jacobian.T)
    found = []
    for _ in range(600):
        image = sum(z * shape.ravel() for z, shape in zip(rng.normal(0, 1, 3), shapes, strict=True))
        found.append((solve @ (image / noise + rng.normal(0, 1, plain.size)))[0])
    assert np.std(found) == pytest.approx(bound, rel=0.1)


def test_an_error_about_the_line_counts_neither_timid_answers_nor_knowledge_of_levels() -> None:
    rng = np.random.default_rng(2)
    levels = rng.integers(0, 5, 4000).astype(np.float64)
    severity = levels + rng.normal(0, 1, 4000)
    answers = 0.3 + levels + 0.5 * (severity - levels) + rng.normal(0, 0.1, 4000)
    reader = tool("phantom_reader")
    assert reader.error_about_line(answers, severity, levels) == pytest.approx(0.2, rel=0.05)
    one_level = np.zeros(4000)
    assert reader.error_about_line(answers, severity, one_level) > 0.3


def cell_of(reader: ModuleType, study: int, severity: float, pixels: np.ndarray) -> object:
    return reader.Cell(
        study_id=str(study), level=reader.LEVELS[3], family=reader.Family.CANAL,
        severity=severity, pixels=pixels,
    )  # fmt: skip


def test_no_cell_is_answered_by_a_reader_who_has_seen_its_study() -> None:
    """Every study's pixels are a code of their own that tells its severity only to who knows it."""
    reader = tool("phantom_reader")
    rng = np.random.default_rng(3)
    cells, severities = [], np.repeat(rng.normal(0, 1, 60), 4)
    codes = np.repeat(rng.normal(0, 1, (60, 90)), 4, axis=0)
    for k, pixels in enumerate(codes + rng.normal(0, 0.01, codes.shape)):
        cells.append(cell_of(reader, k // 4, float(severities[k]), pixels))
    answers = reader.held_out_answers(cells)
    assert abs(np.corrcoef(answers, severities)[0, 1]) < 0.35


def test_a_reader_finds_what_brightens_with_severity() -> None:
    reader = tool("phantom_reader")
    rng = np.random.default_rng(4)
    pattern = rng.normal(0, 1, 90)
    severities = rng.normal(0, 1, 400)
    cells = [
        cell_of(reader, k // 4, s, s * pattern + rng.normal(0, 1, 90))
        for k, s in enumerate(severities.tolist())
    ]
    error = reader.error_about_line(
        reader.held_out_answers(cells), severities, reader.levels_of(cells)
    )
    least = 1 / np.linalg.norm(pattern)
    assert least < error < 2.5 * least


@pytest.fixture
def network_reader(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    return tool("phantom_network")


def test_a_network_learns_what_widens_with_severity_from_other_studies(
    network_reader: ModuleType,
) -> None:
    rng = np.random.default_rng(6)
    size = network_reader.CROP.size_px + 2 * network_reader.MARGIN_PX
    severity = rng.uniform(-1, 1.5, 480)
    away = np.abs(np.arange(size) - size / 2)
    crops = np.repeat((away < 12 + 6 * severity[:, None])[:, None, None, :], size, axis=2)
    crops = np.repeat(crops, 5, axis=1) + rng.normal(0, 0.3, (480, 5, size, size))
    cells = network_reader.Cells(
        study=np.repeat(np.arange(120.0), 4), level=np.tile([0.0, 1.0, 2.0, 3.0], 120),
        severity=severity, crops=crops.astype(np.float32),
    )  # fmt: skip
    seen, unseen = cells.part(cells.study < 100), cells.part(cells.study >= 100)
    found = network_reader.answers(network_reader.train(seen, epochs=6, seed=0), unseen)
    error = network_reader.error_about_line(found, unseen.severity, unseen.level)
    low, high = network_reader.interval(found, unseen, resamples=100)
    assert error < 0.3
    assert low < error < high


def test_a_networks_crops_lie_at_the_true_points_with_right_sides_mirrored(
    network_reader: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = fake_spine.volume(View.AXIAL_T2)
    place = fake_spine.landmarks()[2]
    monkeypatch.setattr(
        network_reader, "load_cached",
        lambda folder: SimpleNamespace(volumes={View.AXIAL_T2: volume}),
    )  # fmt: skip
    sides = [target for target in TARGETS if target.condition.family is Family.SUBARTICULAR]
    left, right = (
        TruthPoint(
            study_id="1", condition=target.condition, level=target.level, measure=1.0, unit="mm",
            severity=0.0, position_lps_mm=place, series_id="1", instance_number=1, covered=True,
            variant="",
        )
        for target in (sides[2], sides[7])
    )  # fmt: skip
    canal = replace(left, condition=TARGETS[2].condition)
    seen, mirrored, absent = network_reader.crops_of([left, right, canal], tmp_path)
    assert absent is None
    assert seen.shape == (5, 70, 70)
    np.testing.assert_allclose(mirrored, seen[..., ::-1], atol=1e-5)
    (from_axial,) = network_reader.crops_of([canal], tmp_path, View.AXIAL_T2)
    np.testing.assert_array_equal(from_axial, seen)


def test_a_ridge_of_all_components_and_no_penalty_is_least_squares() -> None:
    rng = np.random.default_rng(5)
    pixels, severity = rng.normal(0, 1, (50, 6)), rng.normal(0, 1, 50)
    fitted = tool("phantom_reader").fit_ridge(pixels, severity)
    design = np.column_stack([pixels, np.ones(50)])
    expected = design @ np.linalg.lstsq(design, severity, rcond=None)[0]
    assert fitted.answers(pixels, 6, 0.0) == pytest.approx(expected)
    shrunk = fitted.answers(pixels, 6, 1.0) - severity.mean()
    assert np.linalg.norm(shrunk) < 0.8 * np.linalg.norm(expected - severity.mean())


@pytest.mark.parametrize("view", [View.SAGITTAL_T2, View.AXIAL_T2])
def test_a_readers_block_is_centred_on_the_point_and_mirrored_in_columns(view: View) -> None:
    reader = tool("phantom_reader")
    place = fake_spine.landmarks()[2]
    volume = fake_spine.volume(view)
    alone = [fake_spine.picture(affine, place[None]) for affine in volume.affines]
    volume = replace(volume, slices=alone)
    seen = reader.block_around(volume, place, False)
    assert seen.shape == (reader.SLICES, reader.PIXELS, reader.PIXELS)
    weights = np.clip(seen[1] - 40, 0, None)
    found = [float((weights * at).sum() / weights.sum()) for at in np.indices(weights.shape)]
    centre = (reader.PIXELS - 1) / 2
    assert found == pytest.approx([centre, centre], abs=0.2)
    mirrored = reader.block_around(volume, place, True)
    assert np.array_equal(mirrored, seen[..., ::-1])
    assert not np.array_equal(mirrored, seen)


def test_a_sheet_by_grade_takes_the_covered_cell_nearest_to_its_severity_once_a_study() -> None:
    def point(study: str, severity: float, covered: bool = True, index: int = 2) -> TruthPoint:
        return TruthPoint(
            study_id=study, condition=TARGETS[index].condition, level=TARGETS[index].level,
            measure=1.0, unit="mm", severity=severity, position_lps_mm=np.zeros(3), series_id="1",
            instance_number=1, covered=covered, variant="",
        )  # fmt: skip

    truth = [
        point("a", 1.9), point("a", 1.5), point("b", 1.2), point("c", 1.4, covered=False),
        point("d", 1.4, index=7), point("e", -1.0),
    ]  # fmt: skip
    chosen = tool("phantom_sheet").points_of_grade(truth, Family.CANAL, 1.4)
    assert [(p.study_id, p.severity) for p in chosen] == [("a", 1.5), ("b", 1.2), ("e", -1.0)]


def test_figures_tell_marrow_disc_and_fluid_of_a_drawn_spine(tmp_path: Path) -> None:
    pixels = np.full((256, 256), 10, np.uint8)
    pixels[:, 90:130] = 120  # marrow
    pixels[:, 130:145] = 240  # fluid
    heights = np.arange(5) * 30 + 60
    for y in heights:
        pixels[y - 4 : y + 5, 90:130] = 60  # disc
    path = image_path(tmp_path, "drawn", "1.jpg")
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path, quality=100)
    points = np.column_stack([np.full(5, 130.0), heights.astype(float)])
    image = CoordinateImage(path=path, source="drawn", points=points, present=np.full(5, True))
    write_coordinate_table(tmp_path, [image])
    figures = tool("phantom_figures").figures(image)
    assert figures["marrow / fluid"] == pytest.approx(0.5, abs=0.02)
    assert figures["disc / marrow"] == pytest.approx(0.5, abs=0.03)
    assert figures["disc distance / image height"] == pytest.approx(30 / 256)
    assert figures["edge width / disc distance"] < 0.06


def test_both_sides_of_a_sheet_are_windowed_alike() -> None:
    sheet = tool("phantom_sheet")
    pixels = np.random.default_rng(0).normal(300, 60, (64, 48))
    np.testing.assert_array_equal(sheet.windowed(pixels), sheet.windowed(pixels * 5 + 40))
    assert sheet.tile(sheet.windowed(pixels), "x").size == (sheet.TILE_PX, sheet.TILE_PX)
