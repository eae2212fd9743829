"""What ends a measurement without a figure."""


class BenchError(Exception):
    """Something did not happen that had to; the message says what."""


class NotReconciledError(BenchError):
    """What was emitted and what the ledger holds differ: no figure of this run is good."""
