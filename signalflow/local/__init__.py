"""The local stack: real Kafka and real PostgreSQL from registry packages, and the supervisor behind `signalflow up`."""
