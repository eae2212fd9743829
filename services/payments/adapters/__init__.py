"""Where payments meets the world: PostgreSQL, Kafka, tariff files, the wire."""
