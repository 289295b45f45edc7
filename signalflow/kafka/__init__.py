"""A plain Kafka client, without Faust: topics, connection options, admin, confirmed producer, offsets, reader."""
