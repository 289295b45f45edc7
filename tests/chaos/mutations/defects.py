"""Each defect is a change of the code and the tests that catch it. When the code changes, update its defect."""

from dataclasses import dataclass

CONSUME = "tests/unit/streams/test_batch_loop.py"
RACES = "tests/unit/streams/test_races.py"
STATE = "tests/unit/streams/test_state_table.py"
UNIT = "tests/unit/streams/test_unit_of_work.py"
SINK = "tests/unit/test_sink_agent.py"
OUTAGE = "tests/integration/test_path_outage.py"
KILLS = "tests/integration/test_path_kills.py"
EVERY_OFFSET = "tests/unit/kafka/test_every_offset.py"
FOREIGN = "tests/integration/test_foreign_records.py"
SLOW = "tests/integration/test_storage_slow.py"
LOCAL = "tests/unit/streams/test_local_state.py"
CHANGES = "tests/integration/test_topics_change.py"

# The send starts 10 s later, longer than a commit takes: a test has time to kill the worker between commit and send.
LATER = (
    "__import__('asyncio').get_running_loop().call_later("
    "10, lambda *send: __import__('asyncio').ensure_future({send}), {arguments})\n"
)


@dataclass(frozen=True)
class Defect:
    """In the module at `path`, `old` (found once) becomes `new`.

    `caught_by` are tests without servers, `caught_with_servers` the others.
    """

    name: str
    path: str
    old: str
    new: str
    caught_by: tuple[str, ...] = ()
    caught_with_servers: tuple[str, ...] = ()


DEFECTS = (
    Defect(
        "a batch is acknowledged before its commit",
        "signalflow/streams/batch_loop.py",
        "        batch = Batch(events)\n",
        "        batch = Batch(events)\n        for event in events:\n            await self._stream.ack(event)\n",
        (
            f"{CONSUME}::test_nothing_is_acknowledged_before_the_commit_has_returned",
            f"{CONSUME}::test_a_fatal_error_acknowledges_nothing_and_gives_every_message_back",
        ),
        (
            f"{OUTAGE}::test_a_rebalance_while_the_database_is_down_loses_nothing_and_commits_nothing_that_is_not_stored",
            f"{OUTAGE}::test_sigterm_while_the_database_is_down_ends_the_worker_in_time_with_nothing_committed",
        ),
    ),
    Defect(
        "the sink does not wait for its dead letters",
        "signalflow/dead_letters/dead_letters.py",
        "        for refused in await send_or_reject(self._producer, self.topic, batches):\n",
        "        "
        + LATER.format(send="send_or_reject(*send)", arguments="self._producer, self.topic, batches")
        + "        for refused in ():\n",
        (f"{SINK}::test_a_flush_is_not_done_before_its_dead_letters_are_confirmed",),
        (f"{KILLS}::test_records_that_a_commit_has_passed_survive_a_kill_at_that_moment",),
    ),
    Defect(
        "the unit of work does not wait for its outputs and dead letters",
        "signalflow/streams/unit_of_work.py",
        "            refused = await send_or_reject(producer, topic, batches)\n",
        "            "
        + LATER.format(send="send_or_reject(*send)", arguments="producer, topic, batches")
        + "            refused = []\n",
        (
            f"{UNIT}::test_outputs_and_dead_letters_come_before_the_state",
            f"{UNIT}::test_without_confirmed_outputs_no_state_is_written_and_a_retry_sends_only_what_is_missing",
        ),
        (f"{KILLS}::test_records_that_a_commit_has_passed_survive_a_kill_at_that_moment",),
    ),
    Defect(
        "a send returns before the brokers have confirmed it",
        "signalflow/kafka/producer.py",
        "                    done = await future\n"
        "                    first, appended = done.offset, done.timestamp if done.timestamp >= 0 else None\n",
        "                    first, appended = future.result().offset if future.done() else 0, None\n",
        (
            f"{UNIT}::test_a_send_returns_only_when_every_batch_is_confirmed",
            f"{UNIT}::test_a_send_that_no_broker_confirms_ends_as_retryable",
        ),
    ),
    Defect(
        "RocksDB is written before the changelog",
        "signalflow/streams/state_table.py",
        '            reach(f"{self.agent}.before_changelog")\n',
        "            for early, values in by_partition.items():\n"
        "                self._put(early, values, self.offset_reached(early))\n"
        '            reach(f"{self.agent}.before_changelog")\n',
        (
            f"{STATE}::test_local_state_is_never_ahead_of_its_changelog",
            f"{STATE}::test_a_failed_changelog_send_leaves_the_local_state_unchanged_and_is_repeated",
        ),
        (f"{KILLS}::test_a_state_that_is_missing_in_the_changelog_misleads_no_other_worker",),
    ),
    Defect(
        "the commit gap (FS#606): Faust computes what may be committed",
        "signalflow/streams/consumer_commits.py",
        "        if tp not in self.start_offsets or not self.contiguity_guard:\n",
        "        if True:\n",
        (f"{RACES}::test_a_commit_never_passes_a_record_that_was_not_acknowledged",),
    ),
    Defect(
        "Faust acknowledges what raised an exception",
        "signalflow/streams/batch_loop.py",
        "self._stream.noack().events()",
        "self._stream.events()",
        ("tests/unit/streams/test_faust_stream.py::test_an_exception_never_acknowledges_the_record_that_raised_it",),
    ),
    Defect(
        "records of an earlier generation are processed",
        "signalflow/streams/batch_loop.py",
        "event.message.generation_id == generation and not",
        "not",
        (f"{CONSUME}::test_records_of_an_earlier_generation_are_given_back",),
    ),
    Defect(
        "records that were delivered before a rewind are processed",
        "signalflow/streams/batch_loop.py",
        " and not self._app.consumer.is_stale(event.message)",
        "",
        (f"{CONSUME}::test_records_that_were_delivered_before_a_rewind_are_given_back",),
    ),
    Defect(
        "a log that was cut and grew past the commit is taken for intact",
        "signalflow/streams/consumer_positions.py",
        "start = start_of(reached[tp], log_now)",
        "start = Start(max(reached[tp].offset, log_now.start))",
        (),
        ("tests/integration/test_path_positions.py::test_commits_beyond_the_end_of_a_log_cost_no_record",),
    ),
    Defect(
        "rows are written to a database that lacks the rows before",
        "signalflow/storage/positions.py",
        " AND (\n    p.next_offset = a.expected\n",
        " AND (\n    true\n",
        (),
        (
            "tests/integration/test_storage_positions.py::"
            "test_what_the_database_lacks_is_not_passed_over_and_the_rows_are_not_stored",
        ),
    ),
    Defect(
        "a position of a log that was cut since counts",
        "signalflow/positions/stored_topic.py",
        "            if start.broken:\n",
        "            if False:\n",
        (
            "tests/unit/positions/test_stored_topic.py::"
            "test_a_position_of_a_log_that_was_cut_since_tells_nothing_about_the_records_above_the_cut",
        ),
    ),
    Defect(
        "a rewind during a batch is taken for the batch's own beginning",
        "signalflow/streams/batch_loop.py",
        "        return self._start_offsets.get(tp, 0)\n",
        "        return self._app.consumer.start_offsets.get(tp, 0)\n",
        (
            "tests/unit/positions/test_stored_topic.py::test_a_batch_from_before_a_rewind_cannot_pass_over_what_is_read_again",
        ),
    ),
    Defect(
        "wait_empty still waits for messages that were given back",
        "signalflow/streams/batch_loop.py",
        "            self._app.consumer.give_back(event.message)\n",
        "            event.message.given_back = True\n",
        (
            f"{CONSUME}::test_a_commit_that_hangs_is_given_back_when_the_flow_stops",
            f"{CONSUME}::test_a_fatal_error_gives_back_the_messages_behind_the_failed_batch",
        ),
        (f"{OUTAGE}::test_sigterm_while_the_database_is_down_ends_the_worker_in_time_with_nothing_committed",),
    ),
    Defect(
        "a batch given back is followed by acknowledgements of the same generation",
        "signalflow/streams/batch_loop.py",
        "            self._given_up_generation = owned.generation\n",
        "            self._given_up_generation = -1\n",
        (
            f"{CONSUME}::test_an_outage_during_a_rebalance_gives_the_batch_back_and_acknowledges_nothing_more_of_its_generation",
        ),
    ),
    Defect(
        "records that were fetched and dropped are not fetched again until a new record comes",
        "signalflow/streams/faust_consumer.py",
        "            await self._fetch_dropped_records_again()\n",
        "",
        (f"{RACES}::test_dropped_records_are_fetched_again_without_waiting_for_a_new_record",),
    ),
    Defect(
        "recovery clears queues that already hold messages",
        "signalflow/streams/recovery.py",
        "        self.app.flow_control.suspend()\n",
        "",
        (f"{RACES}::test_a_message_that_arrives_between_the_seek_and_the_resume_is_not_cleared",),
    ),
    Defect(
        "recovery applies records that an earlier assignment fetched",
        "signalflow/streams/state_table.py",
        "            if event.message.generation_id == generation:\n",
        "            if generation is not None:\n",
        (f"{STATE}::test_a_changelog_record_of_an_earlier_assignment_does_not_advance_the_offset",),
    ),
    Defect(
        "the queues hold a hundred times too much",
        "signalflow/streams/app.py",
        "        stream_buffer_maxsize=queue_runs(settings),\n",
        "        stream_buffer_maxsize=100 * queue_runs(settings),\n",
        (),
        (
            "tests/integration/test_path_backpressure.py::test_an_outage_of_the_database_fills_the_queues_and_no_more_and_the_lag_shows_it",
        ),
    ),
    Defect(
        "two leaders poll at once",
        "signalflow/domain/lease.py",
        '        return "refused"\n',
        '        return "taken_over"\n',
        ("tests/unit/domain/test_lease.py::test_a_lease_has_one_holder_until_it_ends",),
        (
            "tests/integration/test_ingest_leadership.py::test_of_two_that_believe_to_lead_one_polls_and_the_other_takes_over",
        ),
    ),
    Defect(
        "the ends of transactions are not delivered",
        "signalflow/kafka/every_offset.py",
        "                    yield EmptyOffset(self._tp.topic, self._tp.partition, offset, batch.max_timestamp, 0)\n",
        "",
        (f"{EVERY_OFFSET}::test_transactions_leave_no_hole_and_aborted_records_are_not_delivered",),
        (f"{FOREIGN}::test_transactions_are_no_holes_and_aborted_ones_leave_nothing",),
    ),
    Defect(
        "records of aborted transactions are read",
        "signalflow/kafka/every_offset.py",
        'ISOLATION = "read_committed"\n',
        'ISOLATION = "read_uncommitted"\n',
        (),
        (f"{FOREIGN}::test_transactions_are_no_holes_and_aborted_ones_leave_nothing",),
    ),
    Defect(
        "a batch with a wrong checksum is given up at once",
        "signalflow/kafka/every_offset.py",
        "        self._damaged.add(place)\n",
        "        return False\n",
        (f"{EVERY_OFFSET}::test_a_damaged_batch_is_fetched_again_before_its_records_are_given_up",),
    ),
    Defect(
        "headers of another program are copied to the enriched record",
        "signalflow/lineage.py",
        "if name in links and len(links[name]) <= MOST_LINK_BYTES]",
        "if name in links]",
        ("tests/unit/test_enrich_agent.py::test_a_replayed_record_stays_linked_to_the_dead_letter_it_was",),
        (
            f"{FOREIGN}::test_headers_of_another_program_are_not_copied_and_an_output_that_is_refused_sets_its_record_aside",
        ),
    ),
    Defect(
        "an output that is refused costs its whole unit",
        "signalflow/kafka/producer.py",
        "            if len(some) == 1:\n",
        "            if True:\n",
        (
            f"{UNIT}::test_an_output_that_the_brokers_refuse_costs_its_input_alone_which_is_set_aside_before_the_state",
            "tests/unit/dead_letters/test_dead_letters.py"
            "::test_a_letter_that_the_brokers_refuse_is_cut_and_the_others_are_sent_whole",
        ),
    ),
    Defect(
        "a flush that runs out of time is tried again as a whole",
        "signalflow/domain/piece_size.py",
        "        self.size = max(size // 2, 1)\n",
        "        self.size = _EVERYTHING\n",
        ("tests/unit/domain/test_piece_size.py::test_a_flush_of_2000_rows_is_stored_however_slow_its_rows_are",),
        (f"{SLOW}::test_a_flush_that_runs_out_of_time_is_stored_in_smaller_pieces_that_grow_again",),
    ),
    Defect(
        "rows are set aside because the database is slow",
        "signalflow/storage/paced_writer.py",
        "self._timeouts >= TIMEOUTS_OF_ONE_ROW and await self._stores_others(rows)",
        "self._timeouts >= TIMEOUTS_OF_ONE_ROW",
        (),
        (f"{SLOW}::test_while_the_database_stores_no_row_in_time_none_is_set_aside",),
    ),
    Defect(
        "an observation may be a day ahead of its record",
        "signalflow/enrichment.py",
        "timedelta(minutes=settings.observed_ahead_minutes)",
        "timedelta(days=1)",
        (
            "tests/unit/test_enrich_agent.py"
            "::test_an_observation_hours_ahead_does_not_make_the_observations_after_it_late",
        ),
    ),
    Defect(
        "a client that asks about a topic lets the broker create it",
        "signalflow/kafka/no_topic_creation.py",
        "allow_auto_topic_creation: bool = False",
        "allow_auto_topic_creation: bool = True",
        (),
        ("tests/integration/test_topics_of_others.py::test_no_client_creates_a_topic_by_asking_about_it",),
    ),
    Defect(
        "a damaged store is opened",
        "signalflow/streams/local_state.py",
        "            if damage:\n",
        "            if damage and not partition:\n",
        (f"{LOCAL}::test_a_store_with_one_damaged_block_is_wiped_and_the_others_stay",),
        (f"{CHANGES}::test_a_local_store_that_cannot_be_read_is_restored_from_the_changelog",),
    ),
    Defect(
        "local state of another changelog stays",
        "signalflow/streams/local_state.py",
        "        if recorded is not None and recorded != identity:\n",
        "        if recorded is not None and recorded == identity + 'x':\n",
        (f"{LOCAL}::test_all_stores_of_another_changelog_are_wiped_also_those_that_are_not_assigned",),
        (
            f"{CHANGES}::test_state_of_a_changelog_that_was_made_anew_gives_no_velocities",
            f"{CHANGES}::test_a_changelog_that_was_made_anew_under_a_running_worker_empties_its_state",
        ),
    ),
    Defect(
        "topics that share their partition numbers are assigned by their own numbers",
        "signalflow/streams/assignor.py",
        "set(range(min(len(partitions), self._fewest)))",
        "partitions",
        ("tests/unit/streams/test_assignor.py::test_partitions_that_one_topic_has_before_the_others_wait_for_them",),
    ),
)
