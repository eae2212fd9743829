"""Where the issuance service meets the world: PostgreSQL, files, the card service, payments."""
