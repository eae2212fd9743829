"""Where the card service meets the world: PostgreSQL, the vault, photos, files, Kafka, Redis."""
