"""Backups of an installation, made by PostgreSQL's own tools."""
