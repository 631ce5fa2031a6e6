"""Runs: made, kept, found and compared."""
