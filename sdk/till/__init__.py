"""Tills and windows: payments whose answer is waited for."""
