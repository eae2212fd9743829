"""Real servers as children of this program: PostgreSQL, Tansu and Apache Kafka, on loopback, each in a folder of its own."""
