"""Whole pipelines at small sizes: every number that they write is held to what it was."""
