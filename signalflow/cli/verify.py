"""`signalflow verify`: did we lose anything?"""

import asyncio
import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.options import JsonFlag, OfStack, parse_time

if TYPE_CHECKING:
    from signalflow.kafka.topics import TopicNames
    from signalflow.settings import Settings
    from signalflow.verify.report import Report


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="Read records that the brokers got then or later; ISO 8601, UTC without an offset. Default: all.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Check only records that the brokers got before."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Say which records would be written again for what is missing.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="With --repair: write them again. Running workers then store them.")
    ] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Did we lose anything? Compute from the topics what the tables must hold, and compare every row.

    Workers may keep running. A repair changes and removes no row: it sends records again whose rows are missing.
    Exit status: 0 nothing is missing, extra or wrong; 1 something is; 2 wrong usage; 3 it could not be checked.
    """
    from signalflow.cli.installation import installation_settings
    from signalflow.kafka.topics import TopicNames
    from signalflow.logs import quiet_libraries
    from signalflow.verify.run import verify as run

    if since and until and since >= until:
        raise typer.BadParameter("--since must be earlier than --until")
    if apply and not repair:
        raise typer.BadParameter("--apply needs --repair")
    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)
    settings = installation_settings()
    topics = TopicNames.of(settings)
    with looking():
        with _Bar() as bar:
            report = asyncio.run(run(settings, topics, since=since, until=until, progress=bar.advance))
        told = asyncio.run(_repair(settings, topics, report, apply=apply)) if repair else None
    if as_json:
        print(json.dumps(report.as_dict() | ({"repair": told} if told else {})))
    else:
        print("\n".join([_text(report), *(_repair_text(told) if told else ())]))
    if not report.clean:
        raise typer.Exit(FOUND)


class _Told(TypedDict):
    """What a repair does. `records`: how many are written again, by topic; `applied`: whether they were."""

    applied: bool
    records: dict[str, int]
    in_no_topic: list[str]


async def _repair(settings: "Settings", topics: "TopicNames", report: "Report", *, apply: bool) -> _Told:
    from signalflow.verify import repair

    planned = await repair.plan(settings, topics, report.missing)
    if apply:
        await repair.apply(settings, planned)
    return {"applied": apply, "records": planned.counts, "in_no_topic": planned.in_no_topic}


def _repair_text(told: _Told) -> list[str]:
    done = "written again" if told["applied"] else "would be written again (give --apply to do it)"
    lines = [f"{done}: {records} records of {topic}" for topic, records in told["records"].items()]
    lines += [f"in no topic any more: {what}" for what in told["in_no_topic"]]
    if told["applied"] and told["records"]:
        lines.append("workers store them now; run `signalflow verify` again in a minute")
    return lines or ["nothing to write again"]


class _Bar:
    """Progress on standard error, so that --json leaves standard output to the report."""

    def __enter__(self) -> "_Bar":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._tasks: dict[str, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._progress.start()
        return self

    def advance(self, what: str, more: int, total: int | None) -> None:
        """Show that `more` of `total` have been checked."""
        from rich.progress import TaskID

        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.advance(TaskID(self._tasks[what]), more)

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


def _text(report: "Report") -> str:
    lines = [f"{report.records} records read, {report.records_due} of them due in the tables"]
    if report.start:
        lines.append(f"not read: records that the brokers got before {report.start:%Y-%m-%d %H:%M:%S} UTC")
    lines.append(
        f"{'':22}{'expected':>10}{'found':>10}{'missing':>9}{'extra':>7}{'doubled':>9}{'wrong':>7}{'unchecked':>11}"
    )
    for name, table in report.tables.items():
        lines.append(
            f"{name:22}{table.expected:10}{table.found:10}{table.missing:9}{table.extra:7}"
            f"{table.duplicated:9}{table.wrong:7}{table.unchecked:11}"
        )
        lines += [f"    {example}" for example in table.examples]
    lines += [f"log broken: {told}" for told in report.breaks]
    states = ", ".join(f"{count} {state}" for state, count in report.dead_letter_states.items()) or "none"
    lines.append(f"dead letters stored: {states}; gaps open: {report.gaps_open}")
    lines.append("nothing is missing or wrong" if report.clean else f"{report.differences} differences")
    return "\n".join(lines)
