"""Faults on purpose: what they do to a city, and whether their alerts reach people."""
