"""`signalflow topics`: create the topics, or show them."""

import asyncio
import json
import logging

import typer

from signalflow.cli.options import JsonFlag


def _quiet() -> None:
    from signalflow.logs import quiet_libraries

    # Kafka's client logs each attempt to connect; our error says it in one sentence.
    quiet_libraries(logging.CRITICAL)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    topics = typer.Typer(
        no_args_is_help=True, help="Create the topics on Kafka, or show what is there.", callback=_quiet
    )

    @topics.command()
    def create(as_json: JsonFlag = False) -> None:
        """Create the topics that are missing, with the partitions and replication of the settings."""
        from signalflow.cli.installation import installation_settings
        from signalflow.kafka.admin import create_topics

        created = asyncio.run(create_topics(installation_settings()))
        if as_json:
            print(json.dumps({"created": created}))
        else:
            print("\n".join(f"created {name}" for name in created) or "all topics exist")

    @topics.command(name="list")
    def list_topics(as_json: JsonFlag = False) -> None:
        """Show every topic with its number of partitions. Exit status 1 when a topic is missing."""
        from signalflow.cli.installation import installation_settings
        from signalflow.kafka.admin import topic_partitions
        from signalflow.kafka.topics import topic_specs

        settings = installation_settings()
        found = asyncio.run(topic_partitions(settings))
        rows = [{"topic": spec.name, "partitions": found.get(spec.name)} for spec in topic_specs(settings)]
        if as_json:
            print(json.dumps(rows))
        else:
            for row in rows:
                print(f"{row['topic']:45} {row['partitions'] or 'missing'}")
        if len(found) < len(rows):
            raise typer.Exit(1)

    app.add_typer(topics, name="topics")
