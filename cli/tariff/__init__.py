"""Tariff files tried without a ledger: read, explained step by step, and compared over many taps."""
