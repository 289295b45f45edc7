"""`signalflow evaluate`: how good signals are on real data."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.failures import WRONG_USE
from signalflow.cli.options import JsonFlag
from signalflow.errors import Invalid

if TYPE_CHECKING:
    from signalflow.evaluation.report import Evaluation

# The simulator's readable subreddits.
SIMULATED = 115


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", exists=True, dir_okay=False, help="Hourly snapshots, CSV, may be gzipped."),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            "--train",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Learn from this file, and test on all of FILE.",
        ),
    ] = None,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Learn nothing; test the coefficients that the project ships.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="OUT.html", help="Write a page with plots as well.")
    ] = None,
    simulator: Annotated[
        int | None,
        typer.Option(
            "--simulator",
            metavar="DAYS",
            min=1,
            max=30,
            help="Measure the signals of the pipeline on so many days of the simulator, in virtual time.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the simulator.")] = 1,
    warm_up: Annotated[
        int, typer.Option("--warm-up", metavar="DAYS", min=0, max=30, help="Days of the simulator before those.")
    ] = 7,
    cold: Annotated[
        bool,
        typer.Option(
            "--cold", help="Observe nothing in those days: the simulator's subreddits are new, and read back by a day."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure how well the first snapshot of a post tells whether it takes off, against what became of it.

    FILE has hourly snapshots of a listing, with the columns post, subreddit, created_utc, observed_utc, position,
    score, num_comments and upvote_ratio. Without --train or --shipped, the posts are cut into five consecutive parts,
    and each part but the first is tested with a model that was learnt from the posts before. Needs neither Kafka nor a
    database.

    With --simulator and without FILE: the signals viral and unusual_here of 115 simulated subreddits against the
    simulator's truth. A week takes some minutes.

    Exit status: 0 measured; 1 a file cannot be read or written; 2 wrong usage, a line of a file is wrong (the message
    names line and field), or too few posts reach a target.
    """
    if train is not None and shipped:
        raise typer.BadParameter("cannot be used together with --train", param_hint="--shipped")
    if (file is None) == (simulator is None):
        raise typer.BadParameter("give FILE, or --simulator DAYS", param_hint="FILE")
    if simulator is not None:
        _on_simulator(simulator, warm_up, seed, is_cold=cold, as_json=as_json)
        return
    assert file is not None
    from signalflow.evaluation.page import page_of
    from signalflow.evaluation.report import document, lines

    try:
        result = _evaluated(file, train, as_shipped=shipped)
    except Invalid as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(WRONG_USE) from error
    if page is not None:
        page.write_text(page_of(result), encoding="utf-8")
    if as_json:
        print(json.dumps(document(result)))
    else:
        print("\n".join(lines(result)))


def _on_simulator(days: int, warm_up: int, seed: int, *, is_cold: bool, as_json: bool) -> None:
    from signalflow.evaluation.simulated_figures import figures, lines
    from signalflow.evaluation.simulation import run

    with typer.progressbar(length=SIMULATED, label="subreddits", file=sys.stderr) as bar:
        result = figures(run(days, warm_up, seed, is_cold=is_cold, progress=lambda: bar.update(1)), days)
    if as_json:
        print(json.dumps({"days": days, "warm_up": warm_up, "seed": seed, "cold": is_cold, **asdict(result)}))
    else:
        learnt = "a look back by a day" if is_cold else f"{warm_up} days to learn"
        print(f"The simulator, seed {seed}: {days} days after {learnt}.")
        print("\n".join(lines(result)))


def _evaluated(file: Path, train: Path | None, *, as_shipped: bool) -> "Evaluation":
    from signalflow.evaluation.judging import judge
    from signalflow.evaluation.posts import TARGETS, posts_of
    from signalflow.evaluation.report import evaluation, method_of
    from signalflow.evaluation.snapshots import read_snapshots
    from signalflow.evaluation.validation import by_time, learnt, select, settled_of, shipped

    snapshots = read_snapshots(file)
    posts = posts_of(snapshots)
    known = [] if train is None else posts_of(read_snapshots(train))
    selection = select(posts, known)
    figures = []
    for target in TARGETS:
        if as_shipped:
            parts = [shipped(selection.tested, target)]
        elif train is not None:
            parts = [learnt(settled_of(known), selection.tested, target)]
        else:
            parts = list(by_time(posts, selection.tested, target))
        figures.append(judge(parts, target))
    method = method_of(None if train is None else str(train), as_shipped=as_shipped)
    return evaluation(str(file), method, len(snapshots), posts, selection, figures)
