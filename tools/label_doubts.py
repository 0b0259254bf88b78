"""What leaving doubtful grades out is worth where the judge is perfect: on drawn labels, no images.

    python tools/label_doubts.py [--studies 3000] [--seed 20000] [--wrong 0.05]

Grades of phantom studies are drawn, some are turned into another grade, and the true probabilities
judge them. The last column is the score, on the true grades, of a reader who learned exactly the
shares of the grades that were left to train on; the floor is that of the true probabilities, and
"all" that of a reader who trained on the turned grades as well.

What must stay true: the score is taken on all cells and on grades that nobody turned.
"""

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from lumbargrade.label_doubts import contradicted, doubtful
from lumbargrade.labels import GRADES
from lumbargrade.metric import competition_metric, reweight_for_metric
from lumbargrade.phantom.label_set import draw_label_set
from lumbargrade.phantom.labels import label_model

BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.2)

LEAST = 1e-3
"""Of a grade that was left out wherever it stood: a softmax gives it something."""


def main() -> None:
    """Print a line per bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=20000)
    parser.add_argument("--wrong", type=float, default=0.05)
    args = parser.parse_args()
    drawn = draw_label_set(label_model(), studies=args.studies, seed=args.seed)
    truth, p = drawn.grades, drawn.probabilities
    rng = np.random.default_rng(args.seed)
    wrong = rng.random(truth.shape) < args.wrong
    given = np.where(
        wrong, (truth + rng.integers(1, len(GRADES), truth.shape)) % len(GRADES), truth
    )
    taught = (1 - args.wrong) * p + args.wrong * (1 - p) / (len(GRADES) - 1)
    say = sys.stdout.write
    say(f"floor {_score(truth, p):.4f}, all {_score(truth, taught):.4f}\n")
    say("below  turned found  right left out  severe left out  score\n")
    for below in BOUNDS:
        found = doubtful(given, p, below=below)
        shares = taught * ~contradicted(given, p, below=below)
        severe = found[~wrong & (truth == len(GRADES) - 1)].mean()
        say(
            f"{below:5}  {found[wrong].mean():12.3f}  {found[~wrong].mean():14.4f}  "
            f"{severe:15.3f}  {_score(truth, shares):.4f}\n"
        )


def _score(truth: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    q = np.maximum(p / p.sum(axis=-1, keepdims=True), LEAST)
    return competition_metric(truth, reweight_for_metric(q / q.sum(axis=-1, keepdims=True))).score


if __name__ == "__main__":
    main()
