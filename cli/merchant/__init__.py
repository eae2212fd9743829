"""`onecard merchant …`: send transactions from a file, and see what became of them."""

from cli.merchant.commands import app

__all__ = ["app"]
