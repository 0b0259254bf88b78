from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_points import MARKED, predict, read_slice
from lumbargrade.evaluation import Aligned
from lumbargrade.evaluation_points import evaluate_points
from lumbargrade.labels import MISSING_GRADE
from lumbargrade.plots import plot_points, plot_scorecard, style
from lumbargrade.scorecard import Scorecard, measure

NAMES = {"score.png", "loss_by_cell.png", "reliability.png", "roc.png", "confusion.png"}


def card_of(labels: np.ndarray, *, resamples: int, with_floor: bool) -> Scorecard:
    p = np.random.default_rng(1).dirichlet((4, 1, 0.7), size=labels.shape)
    ids = tuple(str(number) for number in range(len(labels)))
    aligned = Aligned(study_ids=ids, labels=labels, answers=p)
    training = dict(zip(ids, labels, strict=True))
    floor = aligned if with_floor else None
    return measure(aligned, training=training, floor=floor, resamples=resamples)


def ink(path: Path) -> float:
    """Share of the pixels that are not white."""
    with Image.open(path) as file:
        pixels = np.asarray(file.convert("L"))
    assert min(pixels.shape) > 300
    return float((pixels < 250).mean())


@pytest.mark.parametrize(("resamples", "with_floor"), [(0, False), (20, True)])
def test_a_scorecard_is_drawn_into_five_files(
    tmp_path: Path, resamples: int, with_floor: bool
) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (20, 25))
    card = card_of(labels, resamples=resamples, with_floor=with_floor)
    files = plot_scorecard(card, tmp_path / "new" / "plots")
    assert {path.name for path in files} == {path.name for path in files[0].parent.iterdir()}
    assert {path.name for path in files} == NAMES
    for path in files:
        assert 0.02 < ink(path) < 0.9, path


def test_figures_without_a_value_are_drawn_too(tmp_path: Path) -> None:
    labels = np.zeros((1, 25), dtype=np.int64)
    labels[:, [1, 6, 17]] = MISSING_GRADE
    for path in plot_scorecard(card_of(labels, resamples=5, with_floor=True), tmp_path):
        assert ink(path) > 0.01


def test_equal_scorecards_give_equal_pictures(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (8, 25))
    card = card_of(labels, resamples=0, with_floor=False)
    first = plot_scorecard(card, tmp_path / "a")
    second = plot_scorecard(card, tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_failed_drawing_leaves_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"old")
    with (
        pytest.raises(RuntimeError, match="cut off"),
        style.plot(path, title="x", note="y", size=(3, 2)),
    ):
        raise RuntimeError("cut off")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "study", "1 study"), (1200, "study", "1,200 studies"), (3, "point", "3 points")],
)
def test_counts_have_their_plural(number: int, noun: str, text: str) -> None:
    assert style.count(number, noun) == text


@pytest.mark.parametrize("with_images", [False, True])
def test_point_errors_are_drawn_into_five_files(tmp_path: Path, with_images: bool) -> None:
    predicted = [predict(row, column=row.column + 2) for row in MARKED[:13]]
    reader = read_slice if with_images else None
    evaluation = evaluate_points(MARKED, predicted, read_slice=reader)
    files = plot_points(evaluation, tmp_path)
    assert {path.name for path in files} == {
        "point_errors.png",
        "point_shares.png",
        "point_levels.png",
        "point_slices.png",
        "point_scores.png",
    }
    for path in files:
        assert ink(path) > 0.01, path
