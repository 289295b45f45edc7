"""A plain Kafka client: topics, connections, admin, the confirmed producer, offsets, reading a range. Knows nothing of Faust."""
