"""Handlers of the issuance service."""
