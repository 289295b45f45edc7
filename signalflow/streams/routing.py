"""Finds the worker that has a key of a table."""

from typing import Any

from faust.app.router import Router
from yarl import URL

from signalflow.kafka.producer import partition_for


class TableRouter(Router):
    """A router that computes a key's partition itself. Faust's router asks Faust's producer, which is never started."""

    def key_store(self, table_name: str, key: Any) -> URL:
        """The web address of the worker that has this key. Raises KeyError while none has it."""
        table = self._get_table(table_name)
        topic = self._get_table_topic(table)
        partition = partition_for(self._get_serialized_key(table, key), table.partitions)
        for url, topics in self._assignor.table_metadata(topic).items():
            if partition in topics.get(topic, ()):
                return URL(url)
        raise KeyError(key)
