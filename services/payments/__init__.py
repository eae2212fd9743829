"""The ledger and everything that writes it."""
