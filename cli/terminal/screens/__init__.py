"""Screens, one noun each."""
