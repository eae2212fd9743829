"""The schema of payments, step by step."""

from sqlalchemy import Connection


def run_script(connection: Connection, script: str) -> None:
    """Run several statements in the open transaction; a prepared statement holds only one."""
    adapted = connection.connection.dbapi_connection
    assert adapted is not None
    adapted.run_async(lambda driver: driver.execute(script))
