"""Runs the migrations of the issuance schema on the connection that `python -m services.issuance migrate` hands over."""

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], target_metadata=None, version_table_schema=attributes["schema"])
with context.begin_transaction():
    context.run_migrations()
