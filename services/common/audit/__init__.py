"""A service's audit, sealed behind the acts and proved afterwards: docs/decisions/0019-audit-seals.md."""
