"""The schema of card, step by step."""
