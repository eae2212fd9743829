"""Runs the migrations of the payments schema on the connection that `python -m services.payments migrate` hands over."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
connection.execute(text("create schema if not exists payments"))
context.configure(connection=connection, target_metadata=None, version_table_schema="payments")
with context.begin_transaction():
    context.run_migrations()
