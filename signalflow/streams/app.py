"""The Faust application: the only place that configures Faust. The guarantees depend on these settings."""

import math
import warnings
from typing import Any, TypeAlias, TypeVar

import faust
from faust.app.base import BootStrategy
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.exceptions import AlreadyConfiguredWarning

from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.logs import quiet_libraries
from signalflow.settings import Settings
from signalflow.streams.assignor import SharedCountAssignor
from signalflow.streams.brokers import KafkaBrokers
from signalflow.streams.faust_consumer import consumer_class
from signalflow.streams.outputs import OutputLogs
from signalflow.streams.recovery import SuspendingTableManager
from signalflow.streams.routing import TableRouter
from signalflow.streams.runs import RUN_RECORDS, run_scheduler
from signalflow.streams.state_table import StateTable
from signalflow.streams.web_access import closed_without
from signalflow.streams.workspace import Workspace
from signalflow.streams.written import Written

MAX_POLL_RECORDS = 2_000
# Faust pauses a partition when a queue is four fifths full. Until then every partition may add the runs of one more
# fetch, and a full queue of one agent would block the fetch loop of all agents.
FULL_QUEUE_HEADROOM = 5
# After these timeouts Faust logs false errors about idle topics, so they are long.
NEVER_SECONDS = 3_600.0


class _Boot(BootStrategy):
    # Faust's own producer is not used: everything is sent through ConfirmedProducer.
    enable_kafka_producer = False


class _FaustSettings(faust.Settings):
    """Faust's settings as they are given here, whatever the environment says.

    By itself Faust prefers its own variables: CONSUMER_AUTO_OFFSET_RESET=latest or STREAM_WAIT_EMPTY=no, set for
    another program, would make a worker lose records.
    """

    def getenv(self, env_name: str) -> Any:
        return None


# Within a Faust app, `Settings` is the class of Faust's settings.
WorkerSettings: TypeAlias = Settings


class Application(faust.App):
    """faust.App with our consumer, and without a producer."""

    BootStrategy = _Boot
    Settings = _FaustSettings

    settings: WorkerSettings
    workspace: Workspace
    # What the producer of its agents wrote.
    written: Written

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        transport.Consumer = consumer_class(
            source_topics(self.settings),
            KafkaBrokers(self.settings),
            contiguity_guard=self.settings.contiguity_guard,
            outputs=OutputLogs(
                self.written, TopicNames.of(self.settings).outputs, self.settings.position_check_seconds
            ),
        )
        return transport

    def use_partitions(self, count: int) -> None:
        """Assume that the topics that share their partition numbers have this many partitions."""
        self.settings = self.settings.model_copy(update={"topic_partitions": count})
        with warnings.catch_warnings():
            # Faust warns because topics and tables were made before. Below, they get the number too.
            warnings.simplefilter("ignore", AlreadyConfiguredWarning)
            self.conf.topic_partitions, self.conf.stream_buffer_maxsize = count, queue_runs(self.settings)
        for table in self.tables.values():
            table.partitions = table.changelog_topic.partitions = count
        for channel in self.topics:
            # More partitions of one worker may add runs before it pauses them.
            channel.queue._maxsize = queue_runs(self.settings)

    def leads_until(self) -> float:
        """Until when, by `clock.steady`, this worker is surely the group's only leader; -inf when it may not be."""
        if self.rebalancing or not self.is_leader():
            return -math.inf
        return self.consumer.member_until()  # type: ignore[no-any-return]

    async def on_started(self) -> None:
        quiet_libraries()
        await super().on_started()


AppT = TypeVar("AppT", bound=Application)


def source_topics(settings: Settings) -> frozenset[str]:
    """The topics that agents read."""
    return TopicNames.of(settings).consumed


def queue_runs(settings: Settings) -> int:
    """The maximum number of runs in the queue of one agent. A run has at most RUN_RECORDS records and RUN_BYTES bytes.

    This bounds what a worker holds in memory while it cannot write.
    """
    return FULL_QUEUE_HEADROOM * settings.topic_partitions * (MAX_POLL_RECORDS // RUN_RECORDS)


def credentials(settings: Settings) -> Credentials | None:
    """Credentials with which Faust's consumer connects as every other client does; None for plaintext."""
    options = connection_options(settings)
    if settings.kafka_uses_sasl:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return SSLCredentials(options["ssl_context"]) if settings.kafka_uses_tls else None


def create_faust_app(kind: type[AppT], settings: Settings, workspace: Workspace) -> AppT:
    """A Faust app of this class for these settings; no connection is made."""
    host, port = settings.worker_web_host, settings.worker_web_port + workspace.slot
    app = kind(
        settings.app_id,
        broker=";".join(f"kafka://{server.strip()}" for server in settings.kafka.split(",")),
        broker_credentials=credentials(settings),
        store="rocksdb://",
        datadir=str((workspace.path / "data").absolute()),
        topic_partitions=settings.topic_partitions,
        topic_replication_factor=settings.topic_replication,
        # The worker creates all topics before it starts (application.py): Faust would end the worker if brokers were
        # away while it declares topics.
        topic_allow_declare=False,
        table_standby_replicas=0,
        Table=StateTable,
        Router=TableRouter,
        stream_buffer_maxsize=queue_runs(settings),
        stream_wait_empty=True,
        stream_publish_on_commit=False,
        broker_max_poll_records=MAX_POLL_RECORDS,
        broker_session_timeout=settings.broker_session_timeout,
        broker_heartbeat_interval=settings.broker_heartbeat_interval,
        broker_request_timeout=max(30.0, settings.broker_session_timeout * 2),
        broker_rebalance_timeout=settings.broker_rebalance_timeout,
        broker_commit_interval=settings.broker_commit_interval,
        broker_commit_livelock_soft_timeout=NEVER_SECONDS,
        stream_processing_timeout=NEVER_SECONDS,
        consumer_auto_offset_reset="earliest",
        # The consumer joins its group again when its metadata show more partitions.
        consumer_metadata_max_age_ms=int(settings.topic_check_seconds * 1000),
        PartitionAssignor=SharedCountAssignor,
        producer_request_timeout=60.0,
        web_host=host,
        web_bind=host,
        web_port=port,
        canonical_url=f"http://{host}:{port}",
        web_tables_enabled=False,
        web_in_thread=False,
        web_application_options={"middlewares": closed_without(settings.worker_token)},
        ConsumerScheduler=run_scheduler(source_topics(settings)),
        TableManager=SuspendingTableManager,
    )
    app.settings, app.workspace, app.written = settings, workspace, Written()
    return app


def raw_bytes_topic(app: Application, name: str) -> Any:
    """A topic whose keys and values Faust does not decode, so that runs of records reach the agent as they are."""
    return app.topic(
        name, key_type=bytes, value_type=bytes, value_serializer="raw", partitions=app.settings.topic_partitions
    )
