"""The page itself: tables and pictures of a run in one file.

What must stay true: the page needs no other file, no network and no script; every text from
outside is escaped.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2
import yaml

from lumbargrade.atomic_files import write_beside
from lumbargrade.breakdown import GroupKind
from lumbargrade.metric import PARTS
from lumbargrade.plots.curves import plot_reliability
from lumbargrade.plots.scores import plot_cells, plot_score
from lumbargrade.plots.training import plot_ensembles, plot_learning, plot_risk_coverage
from lumbargrade.run_report.gather import Joined, RunFacts
from lumbargrade.scorecard import FLOOR, WEIGHTED_PRIOR

REPORT = "report.html"

PART_NAMES = dict(
    zip(
        ("score", *PARTS),
        ("Score", "Spinal canal", "Foraminal", "Subarticular", "Any severe canal"),
        strict=True,
    )
)
REFERENCE_NAMES = {FLOOR: "floor", WEIGHTED_PRIOR: "weighted prior"}


def write_run_report(facts: RunFacts, run: Path) -> Path:
    """Write ``report.html`` into the run's folder."""
    path = run / REPORT
    write_beside(path, render(facts))
    return path


def render(facts: RunFacts) -> str:
    """Make the page."""
    card = facts.card
    timed = [step.seconds for step in facts.steps if step.seconds is not None]
    return _template().render(
        facts=facts,
        version=version("lumbargrade"),
        settings=yaml.safe_dump(facts.recipe.model_dump(mode="json"), sort_keys=False),
        pictures=_pictures(facts),
        part_names=PART_NAMES,
        parts=asdict(card.evaluation.parts),
        intervals={} if card.intervals is None else card.intervals.parts,
        references={
            REFERENCE_NAMES[name]: asdict(reference.parts)
            for name, reference in card.references.items()
        },
        differences={}
        if card.intervals is None
        else {REFERENCE_NAMES[name]: item for name, item in card.intervals.differences.items()},
        families=card.figures(GroupKind.FAMILY),
        seconds=sum(timed),
        untimed=len(facts.steps) - len(timed),
        duration=duration,
    )


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _pictures(facts: RunFacts) -> Mapping[str, str]:
    """Name → PNG as a data address."""
    card, studies = facts.card, facts.card.evaluation.studies
    drawings: dict[str, Callable[[Path], None]] = {
        "score": lambda path: plot_score(card, path),
        "cells": lambda path: plot_cells(card, path),
        "reliability": lambda path: plot_reliability(card.curves, path, studies=studies),
        "learning": lambda path: plot_learning(facts.learning, path),
        **({} if facts.joined is None else _pictures_of_joining(facts, facts.joined)),
    }
    found = {}
    with TemporaryDirectory() as folder:
        for name, draw in drawings.items():
            path = Path(folder) / f"{name}.png"
            draw(path)
            found[name] = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return found


def _pictures_of_joining(facts: RunFacts, joined: Joined) -> dict[str, Callable[[Path], None]]:
    studies, ensemble = facts.card.evaluation.studies, joined.ensemble
    scores = {name: parts["score"] for name, parts in joined.ways.items()}
    share = None if ensemble.uncertain_above is None else facts.recipe.ensemble.certain_share
    return {
        "ensembles": lambda path: plot_ensembles(
            scores, joined.differences, path, chosen=ensemble.answers, studies=studies
        ),
        "risk": lambda path: plot_risk_coverage(
            joined.curve, path, studies=studies, certain_share=share
        ),
    }


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["figure"] = _figure
    text = (files("lumbargrade.run_report") / "page.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _figure(value: Any) -> str:
    return "–" if value is None else f"{value:.4f}"
