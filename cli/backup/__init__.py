"""Backups of an installation, made by PostgreSQL's own tools, and the way back from them."""
