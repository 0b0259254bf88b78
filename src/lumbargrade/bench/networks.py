"""Forward passes of the networks here against plain PyTorch, each in a process of its own.

What must stay true: both processes run the same weights on the same inputs with the same threads
and give the same answers; they are asked in turns; memory settings of one do not reach the other.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lumbargrade.bench.timing import OnStep, Spread, in_turns, ratios, seconds_of, wait_for
from lumbargrade.classifier.infer import load_classifier
from lumbargrade.detector.features import STACK_START, feature_count
from lumbargrade.detector.infer import load_detector
from lumbargrade.detector.model import Detector
from lumbargrade.labels import TARGETS, VIEWS, View
from lumbargrade.models import open_models
from lumbargrade.runtime import prepare_for_networks

MATRIX = "matrix product"
MATRIX_SIZE = 2048

HERE, PLAIN = "here", "plain"

Action = Callable[[], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpeed:
    """One network on one study's slices or crops."""

    images: int
    gflop: float
    """Of convolutions and matrix products; the LSTMs are not counted."""
    seconds: Spread
    plain_seconds: Spread
    plain_to_here: Spread
    """How many times as fast this package is as plain PyTorch."""
    share_of_matrix_rate: Spread
    """Of the float32 rate measured in turns with it."""
    largest_difference: float
    """Between both answers, in logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpeeds:
    """All networks of a model folder's first fold."""

    matrix_gflop_per_second: Spread
    networks: dict[str, NetworkSpeed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """What a process needs to know."""

    kind: str
    models: Path
    device: str
    slices: Mapping[View, int]
    threads: int


def network_speeds(
    models: Path | None,
    device: str,
    slices: Mapping[View, int],
    threads: int,
    repeats: int,
    *,
    on_step: OnStep,
) -> NetworkSpeeds:
    """Measure all networks, both ways, and the machine's matrix rate.

    Args:
        models: a model folder; None for the bundled one.
        device: cpu, cuda, cuda:N or mps.
        slices: of a study, by view.
        threads: for one operation.
        repeats: rounds.
        on_step: progress.
    """
    folder = open_models(models).path
    contender = partial(Contender, models=folder, device=device, slices=slices, threads=threads)
    with _process(contender(kind=HERE)) as here, _process(contender(kind=PLAIN)) as plain:
        gflop = {name: flops / 1e9 for name, flops in _ask(here, "flops").items()}
        answers = {name: (_ask(here, f"answer {name}"), _ask(plain, f"answer {name}"))
                   for name in gflop if name != MATRIX}  # fmt: skip
        seconds = {}
        for name in answers:
            on_step(f"{name}, here and in plain PyTorch")
            seconds[name] = in_turns(
                {
                    HERE: partial(_ask, here, name),
                    PLAIN: partial(_ask, plain, name),
                    MATRIX: partial(_ask, here, MATRIX),
                },
                repeats,
            )
    rates = [gflop[MATRIX] / value for rounds in seconds.values() for value in rounds[MATRIX]]
    return NetworkSpeeds(
        matrix_gflop_per_second=Spread.of(rates),
        networks={
            name: NetworkSpeed(
                images=slices[View(name)] if name in set(View) else len(TARGETS),
                gflop=gflop[name],
                seconds=Spread.of(rounds[HERE]),
                plain_seconds=Spread.of(rounds[PLAIN]),
                plain_to_here=ratios(rounds[PLAIN], rounds[HERE]),
                share_of_matrix_rate=Spread.of(
                    [
                        (gflop[name] / own) / (gflop[MATRIX] / matrix)
                        for own, matrix in zip(rounds[HERE], rounds[MATRIX], strict=True)
                    ]
                ),
                largest_difference=float((answers[name][0] - answers[name][1]).abs().max()),
            )
            for name, rounds in seconds.items()
        },
    )


@contextmanager
def _process(contender: Contender) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, contender), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()  # the process ends when nobody asks any more
        process.join()


def _ask(connection: Connection, question: str) -> Any:
    connection.send(question)
    return connection.recv()


def serve(connection: Connection, contender: Contender) -> None:
    """Answer questions until nobody asks: FLOPs, an answer, or the seconds of one pass."""
    if contender.kind == HERE:
        prepare_for_networks(contender.threads)
    else:
        torch.set_num_threads(contender.threads)
    device = torch.device(contender.device)
    actions = network_actions(contender)
    matrix = torch.rand(MATRIX_SIZE, MATRIX_SIZE, device=device)
    actions[MATRIX] = lambda: matrix @ matrix
    mode = torch.inference_mode if contender.kind == HERE else torch.no_grad
    with mode():
        while True:
            try:
                question = connection.recv()
            except EOFError:
                return
            connection.send(_answer(question, actions, device))


def _answer(question: str, actions: Mapping[str, Action], device: torch.device) -> object:
    if question == "flops":
        return {name: flops_of(action) for name, action in actions.items()}
    if question.startswith("answer "):
        return actions[question.removeprefix("answer ")]().float().cpu().clone()

    def run() -> None:
        actions[question]()
        wait_for(device)

    return seconds_of(run)


def flops_of(action: Action) -> int:
    """Floating-point operations of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        action()
    return int(counter.get_total_flops())


def network_actions(contender: Contender) -> dict[str, Action]:
    """A forward pass of each network over a study's slices or crops of noise."""
    folder = open_models(contender.models)
    generator = torch.Generator().manual_seed(0)
    actions: dict[str, Action] = {}
    for view in VIEWS:
        if contender.slices.get(view):
            detector = load_detector(
                folder.detectors[view][0],
                contender.device,
                image_size=folder.image_sizes[view][0],
            )
            size = detector.settings.image_size
            images = torch.rand(contender.slices[view], 3, size, size, generator=generator)
            features = torch.rand(len(images), feature_count(view), generator=generator)
            features[:, STACK_START] = 0  # one stack
            inputs = (images.to(contender.device), features.to(contender.device))
            look = look_in_chunks if contender.kind == HERE else look_plainly
            if contender.kind == PLAIN:
                detector.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            actions[view.value] = partial(look, detector, *inputs)
    classifier = load_classifier(folder.classifiers[0], contender.device)
    if contender.kind == PLAIN:
        classifier.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    shape = (1, len(TARGETS), classifier.crops.slices)
    size = classifier.crops.size_px
    crops = torch.rand(*shape, size, size, generator=generator).to(contender.device)
    present = torch.ones(shape, dtype=torch.bool, device=contender.device)
    actions["classifier"] = partial(classifier.model, crops, present)
    return actions


def look_in_chunks(detector: Detector, images: Tensor, features: Tensor) -> Tensor:
    """As this package runs a detector: channels last, a few slices at a time."""
    logits, pooled = detector.look_at_view(images, features)
    pointers = detector.pointer(pooled, features, torch.tensor([len(images)]))
    return torch.cat([logits.flatten(1), pointers], dim=1)


def look_plainly(detector: Detector, images: Tensor, features: Tensor) -> Tensor:
    """The same network as PyTorch runs it unasked: one batch, channels first."""
    logits, pooled = detector.look_at((images - 0.5) * 4)
    pointers = detector.pointer(pooled, features, torch.tensor([len(images)]))
    return torch.cat([logits.flatten(1), pointers], dim=1)
