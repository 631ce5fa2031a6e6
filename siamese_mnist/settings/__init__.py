"""What a run depends on: one grammar, resolved once, compared as values."""
