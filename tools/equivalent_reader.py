"""How well would a reader have to measure severities to score as a submission does?

    python tools/equivalent_reader.py DATASET SUBMISSION [--halo 0.3] [--bootstrap N]

DATASET is a phantom dataset, SUBMISSION answers to its studies. The reader sees every severity of a
study with a Gaussian error of ``tau`` latent units, independent from cell to cell, and knows all
else: how severities hang together and how labels are made of them. His answers follow in closed
form. For each part of the metric the ``tau`` is told at which his loss on these very studies, over
``DRAWS`` draws of his errors, is the submission's.

A reader of the images who makes the best of them does at least as well as any model, so this
``tau`` bounds his from above.

What must stay true: the reader uses the severities of the anatomy as it was made, the labels' own
distribution, and nothing of the labels themselves.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from lumbargrade.competition import read_labels, read_submission, read_truth
from lumbargrade.competition.dataset import LABELS_FILE
from lumbargrade.evaluation import align, keep_submitted
from lumbargrade.labels import TARGETS
from lumbargrade.metric import PARTS, StudySums, reweight_for_metric, study_sums
from lumbargrade.paired import mean_sums
from lumbargrade.phantom.labels import DEFAULT_HALO, LabelModel, label_model
from lumbargrade.resampling import draw_studies, interval_of

TAUS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5)
"""Latent units; between them losses are interpolated."""

DRAWS = 40

Severities = Float64[np.ndarray, "study 25"]
Answers = Float64[np.ndarray, "study 25 3"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("submission", type=Path)
    parser.add_argument("--halo", type=float, default=DEFAULT_HALO, help="of the dataset's labels")
    parser.add_argument("--bootstrap", type=int, default=2000)
    options = parser.parse_args(arguments)
    submission = read_submission(options.submission)
    aligned = align(
        keep_submitted(read_labels(options.dataset / LABELS_FILE), submission), submission
    )
    severities = read_severities(options.dataset, aligned.study_ids)
    model = label_model(options.halo)
    readers = [reader_sums(model, severities, aligned.labels, tau) for tau in TAUS]
    own = study_sums(aligned.labels, aligned.answers)
    everyone = np.ones((1, len(severities)))
    losses = np.stack([losses_of(reader, everyone)[0] for reader in readers])
    at = equivalent_tau(own, readers, everyone)[0]
    drawn = np.concatenate(
        [
            equivalent_tau(own, readers, times)
            for times in draw_studies(len(severities), resamples=options.bootstrap)
        ]
    )
    names = ("score", *PARTS)
    document = {
        "studies": len(severities),
        "reader": {
            str(tau): dict(zip(names, row, strict=True))
            for tau, row in zip(TAUS, losses.tolist(), strict=True)
        },
        "submission": {
            name: {
                "loss": float(losses_of(own, everyone)[0, k]),
                "tau": float(at[k]),
                "interval": bounds(drawn[:, k]),
            }
            for k, name in enumerate(names)
        },
    }
    print(json.dumps(document, indent=1))  # noqa: T201


def read_severities(dataset: Path, study_ids: Sequence[str]) -> Severities:
    """The severities of the anatomy, in target order."""
    known = {
        (point.study_id, point.target.index): point.severity
        for point in read_truth(dataset)
        if point.target is not None
    }
    return np.array([[known[study, k] for k in range(len(TARGETS))] for study in study_ids], float)


def answers_of_reader(model: LabelModel, seen: Severities, tau: float) -> Answers:
    """Answers q of a reader who saw these severities with errors of ``tau``."""
    covariance = model.severity_root @ model.severity_root.T
    gain = covariance @ np.linalg.inv(covariance + tau**2 * np.eye(len(TARGETS)))
    expected = model.mean + (seen - model.mean) @ gain.T
    left = model.halo @ (covariance - gain @ covariance) @ model.halo.T
    spread = np.sqrt(np.maximum(np.diag(left), 0.0) + model.sigma**2)
    blurred = replace(model, sigma=spread)  # what is left unknown blurs as a reader's noise does
    return reweight_for_metric(blurred.probabilities(model.perceive(expected)))


def reader_sums(
    model: LabelModel, severities: Severities, labels: np.ndarray, tau: float
) -> StudySums:
    """What each study adds to the metric, averaged over the reader's errors."""
    rng = np.random.default_rng(0)
    errors = tau * rng.standard_normal((DRAWS, *severities.shape))
    return mean_sums(
        [study_sums(labels, answers_of_reader(model, severities + error, tau)) for error in errors]
    )


def losses_of(
    sums: StudySums, times: Float64[np.ndarray, "draw study"]
) -> Float64[np.ndarray, "draw 5"]:
    """The score and its parts for studies counted so often."""
    parts = (times @ sums.loss) / (times @ sums.weight)
    return np.column_stack([parts.mean(axis=1), parts])


def equivalent_tau(
    own: StudySums, readers: Sequence[StudySums], times: Float64[np.ndarray, "draw study"]
) -> Float64[np.ndarray, "draw 5"]:
    """The reader's error at which he loses as much; 0 where he never loses so little."""
    wanted = losses_of(own, times)
    curve = np.stack([losses_of(reader, times) for reader in readers], axis=-1)
    rising = np.maximum.accumulate(curve, axis=-1)
    flat = [
        np.interp(loss, losses, TAUS)
        for loss, losses in zip(wanted.ravel(), rising.reshape(-1, len(TAUS)), strict=True)
    ]
    return np.reshape(flat, wanted.shape)


def bounds(values: Float64[np.ndarray, "draw"]) -> list[float] | None:
    """The interval's ends."""
    interval = interval_of(values)
    return None if interval is None else [interval.low, interval.high]


if __name__ == "__main__":
    main()
