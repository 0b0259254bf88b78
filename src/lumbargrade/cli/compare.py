"""``compare``: two ways of answering the same studies, and whether they can be told apart."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from lumbargrade.cli.app import DISCLAIMER, app
from lumbargrade.settings import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from lumbargrade.paired import Comparison

_Answers = Annotated[
    Path,
    typer.Argument(
        exists=True, help="Answers in submission format, or a folder with one table for each seed."
    ),
]


@app.command()
def compare(
    first: _Answers,
    second: _Answers,
    truth: Annotated[Path, typer.Option(help="Grades, as in train.csv.")],
    bootstrap: Annotated[int, typer.Option(min=2, help="Sets of studies to draw.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawn sets.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Say which of two answers to the same studies is better, if that can be said.

    FIRST's studies are compared; SECOND must answer the same ones.
    """
    from lumbargrade.competition import read_labels, read_submission
    from lumbargrade.evaluation import align, keep_submitted
    from lumbargrade.paired import compare_answers

    tables = [answer_tables(path) for path in (first, second)]
    labels = keep_submitted(read_labels(truth), read_submission(tables[0][0]))

    def answers(paths: list[Path]) -> "list[np.ndarray]":
        return [align(labels, read_submission(path)).answers for path in paths]

    grades = align(labels, read_submission(tables[0][0])).labels
    found = compare_answers(grades, *map(answers, tables), resamples=bootstrap, seed=seed)
    if as_json:
        typer.echo(json.dumps(comparison_document(found), allow_nan=False))
    else:
        Console().print(comparison_table(found))
        typer.echo(f"{verdict_words(found)}; {DISCLAIMER}")


def answer_tables(path: Path) -> list[Path]:
    """The table itself, or those of a folder, by name.

    Raises:
        ConfigError: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    tables = sorted(path.glob("*.csv"))
    if not tables:
        raise ConfigError(f"{path} holds no table (*.csv) of answers")
    return tables


def comparison_document(found: "Comparison") -> dict[str, Any]:
    """Everything, unrounded."""
    return {"verdict": found.verdict.value, **asdict(found)}


def verdict_words(found: "Comparison") -> str:
    """The verdict in a line, with what it rests on."""
    from lumbargrade.paired import INDISTINGUISHABLE, Verdict

    reason = {
        Verdict.INDISTINGUISHABLE: f"the scores differ by less than {INDISTINGUISHABLE:.3f}",
        Verdict.UNDECIDED: "another draw of studies could turn the difference round",
    }.get(found.verdict, "on almost every draw of studies")
    return f"{found.verdict.value}: {reason}"


def comparison_table(found: "Comparison") -> Table:
    """Score and parts of both, and their difference with its interval."""
    one, other = found.repeats
    means = f"; means over {one} and {other} tables" if max(one, other) > 1 else ""
    title = f"{found.studies} studies, lower is better{means}"
    table = Table(box=box.SIMPLE_HEAD, title=title)
    table.add_column("")
    for words in ("first", "second", "first − second", "95 %"):
        table.add_column(words, justify="right")
    for part, item in found.differences.items():
        interval = item.interval
        table.add_row(
            part,
            f"{getattr(found.first, part):.4f}",
            f"{getattr(found.second, part):.4f}",
            f"{item.difference:+.4f}",
            f"{interval.low:+.4f} … {interval.high:+.4f}" if interval else "–",
            style="bold" if part == "score" else "",
        )
    return table
