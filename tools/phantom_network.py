"""How well does a small network measure severities, having learned them from other studies?

    python tools/phantom_network.py DATASET CACHE [--studies N] [--held-out M] [--view VIEW]

DATASET is a phantom dataset (its truth alone is read), CACHE its prepared studies. A network per
family regresses the severity on the crop at the true point: five slices as channels, 64 pixels of
32 mm, right sides mirrored, of the family's own view unless another is named. The last M studies
are held out; answers are the mean over some networks that differ in their seeds.
As for the plainer reader of ``phantom_reader.py``, the error about the line that the answers
follow, within levels, bounds ``tau`` from above: an ideal reader of the images errs by no more.

What must stay true: no study is on both sides; milder cells than that reader's are learned from,
but not counted.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64
from phantom_reader import MILDEST, error_about_line
from torch import Tensor, nn

import lumbargrade.timm_import  # noqa: F401  (before timm)
from lumbargrade.cache import load_cached
from lumbargrade.competition import read_truth
from lumbargrade.competition.truth import TruthPoint
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import MIRROR_AXIS, cut_crops, wider
from lumbargrade.labels import LEVELS, TARGETS, Family, Side, View
from lumbargrade.records import Landmark
from lumbargrade.resampling import draw_studies, interval_of
from lumbargrade.runtime import prepare_for_networks

CROP = CropSettings(slices=5, size_px=64, side_mm=32.0)
MARGIN_PX = 3
"""Training crops are shifted by up to this much in either direction: 1.5 mm."""

ENCODER = "test_resnet"
FLOOR = -2.0
"""Milder severities count as this one in training: there a measure is often at its cap."""

BATCH = 48
LEARNING_RATE = 2.0e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The graded cells of one family."""

    study: Float64[np.ndarray, "cell"]
    """Number of each cell's study."""
    level: Float64[np.ndarray, "cell"]
    severity: Float64[np.ndarray, "cell"]
    crops: Float32[np.ndarray, "cell slice row column"]
    """With a margin on every side."""

    def part(self, chosen: np.ndarray) -> "Cells":
        """Some of the cells."""
        return Cells(
            study=self.study[chosen], level=self.level[chosen],
            severity=self.severity[chosen], crops=self.crops[chosen],
        )  # fmt: skip


def crops_of(
    points: Sequence[TruthPoint], cache: Path, view: View | None = None
) -> Iterator[np.ndarray | None]:
    """A crop per point of one study, right sides mirrored; None where its view is not there.

    Args:
        points: true points.
        cache: prepared studies.
        view: to cut from; None for each point's own.
    """
    volumes = load_cached(cache / points[0].study_id).volumes
    settings = wider(CROP, margin_px=MARGIN_PX, margin_slices=0)
    for point in points:
        shown = (
            point.target if view is None else next(t for t in TARGETS if t.condition.view is view)
        )
        if point.target is None or shown is None or shown.condition.view not in volumes:
            yield None
            continue
        landmark = Landmark(target=shown, position_lps_mm=point.position_lps_mm, score=1.0)
        crop = cut_crops(volumes, [landmark], settings)[0]
        if crop is None:
            yield None
            continue
        mirrored = point.target.condition.side is Side.RIGHT
        mirror_axis = MIRROR_AXIS[shown.condition.view]
        pixels = np.flip(crop.pixels, mirror_axis) if mirrored else crop.pixels
        yield (pixels - pixels.mean()) / max(float(pixels.std()), 1e-6)


def cells_of(
    dataset: Path, cache: Path, family: Family, studies: int, view: View | None = None
) -> Cells:
    """Every covered cell of a family, in the order of the studies."""
    by_study: dict[str, list[TruthPoint]] = {}
    for point in read_truth(dataset):
        if point.target is None or point.severity is None or not point.covered:
            continue
        if point.target.condition.family is family:
            by_study.setdefault(point.study_id, []).append(point)
    rows = []
    known = [name for name in sorted(by_study) if (cache / name).is_dir()]
    for number, name in enumerate(known[:studies]):
        for point, crop in zip(by_study[name], crops_of(by_study[name], cache, view), strict=True):
            if crop is not None:
                rows.append((number, LEVELS.index(point.level), point.severity, crop))
    study, level, severity, crops = zip(*rows, strict=True)
    return Cells(
        study=np.array(study, float), level=np.array(level, float),
        severity=np.array(severity, float), crops=np.stack(crops).astype(np.float32),
    )  # fmt: skip


def train(cells: Cells, *, epochs: int, seed: int) -> nn.Module:
    """A network that answers with severities."""
    import timm

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network: nn.Module = timm.create_model(ENCODER, in_chans=CROP.slices, num_classes=1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    steps = epochs * (len(cells.severity) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    wanted = torch.as_tensor(np.maximum(cells.severity, FLOOR), dtype=torch.float32)
    network.train()
    for _ in range(epochs):
        order = rng.permutation(len(wanted))
        for k in range(len(wanted) // BATCH):
            batch = order[k * BATCH : (k + 1) * BATCH]
            rows, columns = rng.integers(0, 2 * MARGIN_PX + 1, 2)
            images = shifted(cells.crops[batch], int(rows), int(columns))
            loss = nn.functional.smooth_l1_loss(network(images)[:, 0], wanted[batch], beta=0.3)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


def shifted(crops: np.ndarray, rows: int, columns: int) -> Tensor:
    """Crops of the usual size out of those with margins, from a row and column on."""
    size = CROP.size_px
    return torch.from_numpy(
        np.ascontiguousarray(crops[..., rows : rows + size, columns : columns + size])
    )


@torch.inference_mode()
def answers(network: nn.Module, cells: Cells) -> Float64[np.ndarray, "cell"]:
    """A network's severities."""
    images = shifted(cells.crops, MARGIN_PX, MARGIN_PX)
    parts = [network(batch)[:, 0] for batch in torch.split(images, 256)]
    return torch.cat(parts).double().numpy()


def interval(found: np.ndarray, cells: Cells, resamples: int = 1000) -> tuple[float, float]:
    """Percentile interval of the error about the line, over studies."""
    names, of_cell = np.unique(cells.study, return_inverse=True)
    errors = []
    for draws in draw_studies(len(names), resamples=resamples):
        for counts in draws:
            chosen = np.repeat(np.arange(len(found)), counts[of_cell].astype(int))
            errors.append(
                error_about_line(found[chosen], cells.severity[chosen], cells.level[chosen])
            )
    known = interval_of(np.array(errors))
    assert known is not None
    return known.low, known.high


def main() -> None:
    """Print the error of each family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--families", nargs="+", type=Family, default=list(Family))
    parser.add_argument("--view", type=View, help="to cut from, in place of each family's own")
    options = parser.parse_args()
    prepare_for_networks()
    for family in options.families:
        cells = cells_of(options.dataset, options.cache, family, options.studies, options.view)
        held_out = cells.study > cells.study.max() - options.held_out
        learned = cells.part(~held_out)
        tested = cells.part(held_out & (cells.severity > MILDEST))
        found = np.stack(
            [
                answers(train(learned, epochs=options.epochs, seed=seed), tested)
                for seed in range(options.seeds)
            ]
        )
        ones = [error_about_line(one, tested.severity, tested.level) for one in found]
        mean = found.mean(axis=0)
        error = error_about_line(mean, tested.severity, tested.level)
        low, high = interval(mean, tested)
        alone = ", ".join(f"{one:.3f}" for one in ones)
        print(  # noqa: T201
            f"{family:13} {len(learned.severity)} cells to learn from, {len(tested.severity)} "
            f"counted: tau at most {error:.3f} ({low:.3f} to {high:.3f}), singly {alone}",
            flush=True,
        )


if __name__ == "__main__":
    main()
