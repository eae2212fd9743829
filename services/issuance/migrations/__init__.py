"""The schema of issuance, step by step."""
