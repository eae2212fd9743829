"""The way back from a backup: first the database's files, then everything that stands on them."""
