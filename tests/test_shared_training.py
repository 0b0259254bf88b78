"""Processes that share a batch: their parts, losses and gradients make up those of the batch."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from fake_crops import CROPS, TINY, fake_studies
from fake_spine import arrays
from lumbargrade.classifier.dataset import shared_studies
from lumbargrade.classifier.loss import (
    any_severe_loss,
    cross_entropy,
    metric_loss,
    soft_targets,
    weighted_cross_entropy,
)
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.classifier.train import ClassifierTask, training_crop_settings
from lumbargrade.config import AugmentSettings, ClassifierMember, DetectorSettings, FitSettings
from lumbargrade.detector.batches import training_batches
from lumbargrade.detector.dataset import DetectorBatch
from lumbargrade.detector.loss import detector_loss
from lumbargrade.detector.model import DetectorOutput
from lumbargrade.labels import TARGETS, Family, View
from lumbargrade.training.share import WHOLE, Share
from test_detector_loss import batch, output

Result = TypeVar("Result")


class Room:
    """Where processes meet to add up; here they are threads."""

    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count, timeout=60)
        self.said: dict[int, Tensor] = {}

    def total(self, rank: int, part: Tensor) -> Tensor:
        self.said[rank] = part.detach()
        self.barrier.wait()
        whole = torch.stack([self.said[key] for key in sorted(self.said)]).sum(dim=0)
        self.barrier.wait()
        return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadShare(Share):
    room: Room = field(default_factory=lambda: Room(1))

    def total(self, part: Tensor) -> Tensor:
        return self.room.total(self.rank, part)


def in_parts(count: int, work: Callable[[Share], Result]) -> list[Result]:
    room = Room(count)
    shares = [ThreadShare(rank=rank, count=count, room=room) for rank in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, shares))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [0, 1, 2, 5, 9])
def test_parts_make_up_the_batch_and_differ_by_one_at_most(count: int, length: int) -> None:
    items = list(range(length))
    parts = [Share(rank=rank, count=count).of(items) for rank in range(count)]
    assert [item for part in parts for item in part] == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert len(parts[0]) == max(map(len, parts))  # the first is never the one without


# Losses ------------------------------------------------------------------------------------------


def runs_of(whole: DetectorBatch, said: DetectorOutput, rank: int) -> tuple[Any, Any]:
    """The first run (3 slices), or the second (2), of the batch of two."""
    part = slice(0, 3) if rank == 0 else slice(3, 5)
    own = whole._replace(lengths=whole.lengths[rank : rank + 1])
    names = [name for name in DetectorBatch._fields if name != "lengths"]
    own = own._replace(**{name: getattr(own, name)[part] for name in names})
    return own, DetectorOutput(said.heatmap_logits[part], said.pointer_logits[part])


def test_a_detectors_loss_divides_by_the_labelled_mass_of_all_processes() -> None:
    labelled, alone, shared = batch(known=0.0), output(), output()
    labelled.heatmap_known[4], labelled.heatmap_known[3, 0] = 0.0, 0.0  # little is known of run 2
    labelled.weights[3, 1] = 0.3

    def part(share: Share) -> dict[str, Tensor]:
        own, said = runs_of(labelled, shared, share.rank)
        return detector_loss(said, own, share)

    expected = detector_loss(alone, labelled)
    found = in_parts(2, part)
    for name, value in expected.items():
        mean = sum(float(of[name].detach()) for of in found) / 2
        assert mean == pytest.approx(float(value.detach()), rel=1e-5), name
    torch.autograd.backward(expected["loss"])
    torch.autograd.backward([of["loss"] / 2 for of in found])
    for one, other in zip(alone, shared, strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-5, atol=1e-8)
    by_own_mass = [
        detector_loss(said, own)
        for own, said in (runs_of(labelled, alone, rank) for rank in (0, 1))
    ]
    for name, value in expected.items():
        mean = sum(float(of[name].detach()) for of in by_own_mass) / 2
        assert mean != pytest.approx(float(value.detach()), rel=2e-3), name


FORAMINAL = [i for i, target in enumerate(TARGETS) if target.condition.family is Family.FORAMINAL]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("nowhere", [False, True])
@pytest.mark.parametrize(
    "loss",
    [
        cross_entropy,
        weighted_cross_entropy,
        any_severe_loss,
        lambda *arguments: metric_loss(*arguments)["loss"],
    ],
)
def test_a_classifiers_loss_divides_by_the_labelled_weight_of_all_processes(
    loss: Callable[[Tensor, Tensor, Share], Tensor], nowhere: bool, count: int
) -> None:
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(-1, 3, (5, 25)))
    labels[0] = -1
    labels[: 5 if nowhere else 2, FORAMINAL] = -1  # a whole family, in one part or in all
    targets = soft_targets(labels)
    logits = torch.from_numpy(rng.normal(size=(5, 25, 3))).float()
    alone, shared = logits.clone().requires_grad_(), logits.clone().requires_grad_()

    def part(share: Share) -> Tensor:
        first, end = share.bounds(5)
        return loss(shared[first:end], targets[first:end], share)

    expected = loss(alone, targets, WHOLE)
    found = in_parts(count, part)
    mean = sum(float(of.detach()) for of in found) / count
    assert mean == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.autograd.backward(expected)
    torch.autograd.backward([of / count for of in found])
    torch.testing.assert_close(shared.grad, alone.grad, rtol=1e-5, atol=1e-8)


# Batches -----------------------------------------------------------------------------------------


def run_bytes(found: DetectorBatch) -> list[bytes]:
    return [run.numpy().tobytes() for run in torch.split(found.images, found.lengths.tolist())]


def test_what_is_drawn_for_a_study_does_not_depend_on_the_number_of_processes() -> None:
    settings = DetectorSettings(
        encoder="test_resnet", image_size=64, train_slices=4, fit=FitSettings(batch_size=4)
    )
    studies = [arrays(View.SAGITTAL_T2, str(number)) for number in range(9)]  # 4, 4 and 1
    extra = [
        replace(
            item, pixels=item.pixels[:1], affines=item.affines[:1], stack_ids=item.stack_ids[:1]
        )
        for item in studies[:3]
    ]

    def batches(share: Share) -> list[DetectorBatch]:
        return list(training_batches(studies, settings, seed=3, epoch=1, extra=extra, share=share))

    whole = batches(WHOLE)
    parts = [batches(Share(rank=rank, count=3)) for rank in range(3)]
    for number, expected in enumerate(whole):
        found = [run for part in parts for run in run_bytes(part[number])]
        assert sorted(found) == sorted(run_bytes(expected))


def test_a_process_for_which_no_study_is_left_gets_one_without_labels() -> None:
    settings = DetectorSettings(
        encoder="test_resnet", image_size=64, train_slices=4, fit=FitSettings(batch_size=2)
    )
    studies = [arrays(View.SAGITTAL_T2, str(number)) for number in range(3)]
    share = Share(rank=1, count=2)
    full, left = training_batches(studies, settings, seed=3, epoch=1, share=share)
    assert float(full.weights_known.sum()) > 0
    assert len(left.images) > 0
    assert float(left.weights_known.sum() + left.heatmap_known.sum()) == 0
    (study,) = shared_studies(fake_studies(1), share, with_next=False)
    assert set(study.labels.tolist()) == {-1}


@pytest.mark.parametrize("augment", [AugmentSettings(), AugmentSettings(mixup_probability=1.0)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("studies", [1, 3])
def test_parts_of_a_mixed_batch_are_mixed_with_the_same_studies(
    augment: AugmentSettings, weighted: bool, studies: int
) -> None:
    settings = TINY.model_copy(update={"augment": augment})
    member = ClassifierMember(crops=CROPS, classifier=settings)
    training = fake_studies(studies, training_crop_settings(CROPS, settings))
    fit = FitSettings(batch_size=3)
    task = ClassifierTask(training, training, member, fit, seed=5, weighted=weighted)
    torch.manual_seed(0)
    model = GradeClassifier(settings).eval()  # batch norm and dropout would tell parts apart

    def loss(share: Share) -> float:
        own = task if share is WHOLE else task.shared(share)
        (only,) = own.batches(0)
        with torch.no_grad():
            found = own.loss(model, only)
        return float(found if isinstance(found, Tensor) else found["loss"])

    assert sum(in_parts(2, loss)) / 2 == pytest.approx(loss(WHOLE), rel=1e-5)
