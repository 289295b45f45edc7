"""`signalflow topics`: create the topics, show them, check their properties, or change them."""

import asyncio
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.options import JsonFlag, OfStack

if TYPE_CHECKING:
    from signalflow.kafka.topic_check import Difference


def _quiet() -> None:
    from signalflow.logs import quiet_libraries

    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)


def _described(difference: "Difference") -> str:
    """One line: what is different, what to do, and which promise it breaks."""
    todo = "change it by hand" if difference.change == "by hand" else "`signalflow topics apply` changes it"
    return f"{difference}; {todo}" + (f"; it breaks a promise: {difference.breaks}" if difference.breaks else "")


def _as_data(found: list["Difference"]) -> list[dict[str, Any]]:
    return [asdict(difference) for difference in found]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    topics = typer.Typer(
        no_args_is_help=True,
        help="Create the topics on Kafka, show what is there, or make it what it must be.",
        callback=_quiet,
    )

    @topics.command()
    def create(_: OfStack = None, as_json: JsonFlag = False) -> None:
        """Create the topics that are missing, with the partitions and replication of the settings."""
        from signalflow.cli.installation import installation_settings
        from signalflow.kafka.admin import create_topics

        created = asyncio.run(create_topics(installation_settings()))
        if as_json:
            print(json.dumps({"created": created}))
        else:
            print("\n".join(f"created {name}" for name in created) or "all topics exist")

    @topics.command(name="list")
    def list_topics(_: OfStack = None, as_json: JsonFlag = False) -> None:
        """Show every topic with its number of partitions.

        Exit status: 0 all exist; 1 one is missing; 3 Kafka could not be asked.
        """
        from signalflow.cli.installation import installation_settings
        from signalflow.kafka.admin import topic_partitions
        from signalflow.kafka.topics import topic_specs

        settings = installation_settings()
        with looking():
            found = asyncio.run(topic_partitions(settings))
        rows = [{"topic": spec.name, "partitions": found.get(spec.name)} for spec in topic_specs(settings)]
        if as_json:
            print(json.dumps(rows))
        else:
            for row in rows:
                print(f"{row['topic']:45} {row['partitions'] or 'missing'}")
        if len(found) < len(rows):
            raise typer.Exit(FOUND)

    @topics.command()
    def check(_: OfStack = None, as_json: JsonFlag = False) -> None:
        """Compare the topics' properties with what they must be; change nothing.

        Exit status: 0 they are as they must be; 1 they differ; 3 Kafka could not be asked.
        """
        from signalflow.cli.installation import installation_settings
        from signalflow.kafka.admin import check_topics

        with looking():
            found = asyncio.run(check_topics(installation_settings()))
        if as_json:
            print(json.dumps({"differences": _as_data(found)}))
        else:
            print("\n".join(map(_described, found)) or "all topics are as they must be")
        if found:
            raise typer.Exit(FOUND)

    @topics.command()
    def apply(_: OfStack = None, as_json: JsonFlag = False) -> None:
        """Create missing topics, add missing partitions, set properties.

        Exit status: 0 nothing is left to do; 1 something is; 3 Kafka could not be asked.
        A key whose partition changes has no known velocity until its second observation.
        """
        from signalflow.cli.installation import installation_settings
        from signalflow.kafka.admin import apply_topics

        with looking():
            changed, left = asyncio.run(apply_topics(installation_settings()))
        if as_json:
            print(json.dumps({"changed": _as_data(changed), "left": _as_data(left)}))
        else:
            lines = [f"changed: {difference}" for difference in changed] + [_described(item) for item in left]
            print("\n".join(lines) or "all topics are as they must be")
        if left:
            raise typer.Exit(FOUND)

    app.add_typer(topics, name="topics")
